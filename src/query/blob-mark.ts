/** Begins the text of bytes that are not UTF-8 in an answer; base64 follows. */
export const blobMark = 'base64:';
