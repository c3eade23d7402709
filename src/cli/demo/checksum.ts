/** Count and checksum of values, the same whatever order the partitions are read in. */
import { crc32c } from '@node-rs/crc32';

/** Far above any single CRC-32C, and far enough below 2^53 that a sum is exact. */
const modulus = 2 ** 48;

export class ValueChecksum {
  records = 0;
  /** Sum of the values' CRC-32C, modulo 2^48. */
  sum = 0;
  bytes = 0;

  add(value: Buffer): void {
    this.records++;
    this.bytes += value.length;
    this.sum = (this.sum + crc32c(value)) % modulus;
  }

  equals(other: ValueChecksum): boolean {
    return this.records === other.records && this.sum === other.sum && this.bytes === other.bytes;
  }

  text(): string {
    return `${this.records} records, ${this.bytes} bytes, checksum ${this.sum.toString(16)}`;
  }
}
