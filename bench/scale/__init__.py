"""Works out what a notification to very many connections takes: time, calls and money."""
