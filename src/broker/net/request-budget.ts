/**
 * Bytes of requests that are held in all connections together (`queued.max.request.bytes`). Above the limit connections stop
 * reading; should only half-received requests hold the memory, the largest of them loses its connection.
 */

export interface BudgetUser {
  /** Bytes of a frame that is not whole yet. */
  readonly pendingBytes: number;
  /** The budget has room again. */
  resume(): void;
  /** Gives its memory back by ending. */
  shed(): void;
}

export class RequestBudget {
  readonly #limitBytes: number;
  readonly #users = new Set<BudgetUser>();
  readonly #paused = new Set<BudgetUser>();
  #heldBytes = 0;
  #underWay = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  get isExceeded(): boolean {
    return this.#heldBytes > this.#limitBytes;
  }

  enter(user: BudgetUser): void {
    this.#users.add(user);
  }

  leave(user: BudgetUser, heldBytes: number, underWay: number): void {
    this.#users.delete(user);
    this.#paused.delete(user);
    this.#underWay -= underWay;
    this.change(-heldBytes);
  }

  /** Whole frames that wait for their answer. */
  changeUnderWay(by: number): void {
    this.#underWay += by;
  }

  change(bytes: number): void {
    this.#heldBytes += bytes;
    if (this.isExceeded || this.#paused.size === 0) return;
    const paused = [...this.#paused];
    this.#paused.clear();
    for (const user of paused) user.resume();
  }

  /** To be called by a user that stopped reading because the budget is exceeded. */
  waitForRoom(user: BudgetUser): void {
    this.#paused.add(user);
    if (this.#underWay > 0) return;
    let largest: BudgetUser | undefined;
    for (const other of this.#users) if (largest === undefined || other.pendingBytes > largest.pendingBytes) largest = other;
    largest?.shed();
  }
}
