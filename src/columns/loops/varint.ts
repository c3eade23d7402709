/**
 * The zigzag base-128 numbers inside records. Checked reading answers 0 where there is none; reading again what has been
 * checked goes without looking at ends. The number itself is in `value` then.
 */

/** ±(2^53 − 1): what a number of JavaScript holds exactly. */
const safeMax: i64 = 0x1f_ffff_ffff_ffff;

/** The number that was read last. */
export let value: i64 = 0;

function unzigzag(raw: u64): i64 {
  return <i64>(raw >> 1) ^ -(<i64>(raw & 1));
}

/** A number of 32 bits (Kafka's VARINT): what is behind it, 0 where it is cut off or longer. */
export function checkedVarint(from: usize, end: usize): usize {
  let at = from;
  let raw: u64 = 0;
  for (let shift: u64 = 0; shift < 35; shift += 7) {
    if (at >= end) return 0;
    const byte = <u64>load<u8>(at++);
    if (shift === 28 && byte > 0x0f) return 0;
    raw |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      value = unzigzag(raw);
      return at;
    }
  }
  return 0;
}

/** A number of 64 bits (Kafka's VARLONG): what is behind it, 0 where it is cut off, longer, or beyond ±(2^53 − 1). */
export function checkedVarlong(from: usize, end: usize): usize {
  let at = from;
  let raw: u64 = 0;
  for (let shift: u64 = 0; shift < 70; shift += 7) {
    if (at >= end) return 0;
    const byte = <u64>load<u8>(at++);
    // Of the tenth byte any bit would lead beyond what is safe.
    if (shift === 63 && byte !== 0 && byte !== 0x80) return 0;
    if (shift < 63) raw |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      value = unzigzag(raw);
      return value <= safeMax && value >= -safeMax ? at : 0;
    }
  }
  return 0;
}

/** A number that has been checked, of either size: what is behind it. */
export function varintEnd(from: usize): usize {
  let at = from;
  let byte = <u64>load<u8>(at++);
  let raw = byte & 0x7f;
  for (let shift: u64 = 7; byte >= 0x80; shift += 7) {
    byte = <u64>load<u8>(at++);
    raw |= (byte & 0x7f) << shift;
  }
  value = unzigzag(raw);
  return at;
}
