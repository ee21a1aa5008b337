/** The messages of the server, and positions, checked. */

const isNumber = (value) => Number.isSafeInteger(value) && value >= 0;

/** Return a position, or null for anything else. */
export function parsePosition(value) {
  const { all, own } = value ?? {};
  const allIsGood = all === undefined || isNumber(all);
  const ownIsGood = own === undefined || (isNumber(own?.seq) && typeof own.of === "string");
  return (all ?? own) !== undefined && allIsGood && ownIsGood ? value : null;
}

/** Parse a message. Those of API Gateway itself have no type: {"message": "Too Many Requests"}. */
export function parse(data) {
  const message = JSON.parse(data);
  const isPlaced = ({ stream, seq, prev }) =>
    ["all", "own"].includes(stream) && isNumber(seq) && isNumber(prev) && prev < seq;
  const isEmpty = (object) => Object.keys(object).length === 0;
  const { type, seq, notifications, position } = message;
  if (type === undefined && message.message !== undefined) {
    return { type: "error", code: "try_again", message: message.message };
  }
  const isGood = {
    notification: () => message.id !== undefined && (seq === undefined || isPlaced(message)),
    recovered: () => notifications.every(isPlaced) && (parsePosition(position) || isEmpty(position)),
  }[type];
  if (isGood && !isGood()) throw new TypeError(`malformed message ${data.slice(0, 200)}`);
  return message;
}
