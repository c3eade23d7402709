/** How many columns of a terminal a text takes: wide signs take two, marks that combine none. */

const combining = /\p{Mn}|\p{Me}|[\u200b-\u200f]|\u2060|[\ufe00-\ufe0f]/u;
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const plain = /^[ -~]*$/;

function widthOf(sign: string): number {
  return combining.test(sign) ? 0 : wide.test(sign) ? 2 : 1;
}

export function displayWidth(text: string): number {
  if (plain.test(text)) return text.length;
  let width = 0;
  for (const sign of text) width += widthOf(sign);
  return width;
}

/** As much of the text as fits, with an ellipsis where something is left out. */
export function fitted(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let kept = '';
  let taken = 1;
  for (const sign of text) {
    taken += widthOf(sign);
    if (taken > width) break;
    kept += sign;
  }
  return width < 1 ? '' : `${kept}…`;
}

export function padded(text: string, width: number, isRight: boolean): string {
  const space = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return isRight ? space + text : text + space;
}
