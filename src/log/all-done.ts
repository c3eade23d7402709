/** Waits for all of it, also where some fails: then the first error in this order is thrown, and nothing is under way any more. */
export async function allDone<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work);
  return Promise.all(work);
}
