// Which pictures go together in one request.

const MOST = 32; // so that the first captions come while the rest is still being sent
const MOST_BYTES = 24 * 2 ** 20;
const PART_BYTES = 1024; // of a form, besides the file itself

/** The pictures in order, cut into requests that the server takes. */
export function split(cards, limits) {
  const most = Math.min(MOST, limits.max_images);
  const bytes = Math.min(MOST_BYTES, limits.max_body_bytes - 16 * PART_BYTES);
  const batches = [];
  let room = 0;
  for (const card of cards) {
    const size = card.file.size + PART_BYTES;
    if (batches.length === 0 || batches.at(-1).length === most || size > room) {
      batches.push([]);
      room = bytes;
    }
    batches.at(-1).push(card);
    room -= size;
  }
  return batches;
}

/** Why the server would not take this file, or null. */
export function refusal(file, limits) {
  if (file.size === 0) return "The file is empty.";
  if (file.size > limits.max_image_bytes) {
    return `The file has ${megabytes(file.size)}; at most ${megabytes(limits.max_image_bytes)} are allowed.`;
  }
  return null;
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} MB`;
}
