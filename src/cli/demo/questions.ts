/** The questions of the demo: one week that lies cold, one that lies hot, one that spans the boundary. */
import { dayMs } from '../../kernel/index.js';

export interface Question {
  readonly title: string;
  readonly fromMs: number;
  readonly toMs: number;
}

const weekMs = 7 * dayMs;
const startOfDay = (ms: number): number => Math.floor(ms / dayMs) * dayMs;

/** Weeks around the flight at which the hot part begins. */
export function questionsOf(firstMs: number, boundaryMs: number, lastMs: number): readonly Question[] {
  const boundaryDay = startOfDay(boundaryMs);
  const coldFrom = startOfDay(firstMs + (boundaryMs - firstMs) / 2);
  const hotFrom = Math.min(boundaryDay + 2 * dayMs, startOfDay(lastMs));
  return [
    { title: 'a week that lies cold', fromMs: coldFrom, toMs: Math.min(coldFrom + weekMs, boundaryDay) },
    { title: 'a week that lies hot', fromMs: hotFrom, toMs: hotFrom + weekMs },
    { title: 'a week that spans the boundary', fromMs: boundaryDay - 3 * dayMs, toMs: boundaryDay + 4 * dayMs },
  ];
}

const iso = (ms: number): string => new Date(ms).toISOString();

/** The question as the service is asked. */
export function serviceSql(topic: string, question: Question): string {
  return `SELECT origin, count(*) AS flights, avg(delay) AS mean_delay FROM ${topic}
WHERE _timestamp >= TIMESTAMPTZ '${iso(question.fromMs)}' AND _timestamp < TIMESTAMPTZ '${iso(question.toMs)}'
GROUP BY origin ORDER BY flights DESC, origin`;
}

/** The same of the original file, whose `date` column is the flight's time without a zone. */
export function originalSql(question: Question): string {
  const plain = (ms: number): string => iso(ms).slice(0, 19).replace('T', ' ');
  return `SELECT origin, count(*) AS flights, avg(delay) AS mean_delay FROM flights
WHERE "date" >= TIMESTAMP '${plain(question.fromMs)}' AND "date" < TIMESTAMP '${plain(question.toMs)}'
GROUP BY origin ORDER BY flights DESC, origin`;
}

/** Cell by cell: numbers as numbers (a DOUBLE may be printed as text by either side), everything else as text. */
export function differences(ours: readonly (readonly unknown[])[], theirs: readonly (readonly unknown[])[]): number {
  let different = Math.abs(ours.length - theirs.length);
  for (let i = 0; i < Math.min(ours.length, theirs.length); i++) {
    const [a, b] = [ours[i]!, theirs[i]!];
    const isEqual = a.length === b.length && a.every((cell, c) => isSameCell(cell, b[c]));
    if (!isEqual) different++;
  }
  return different;
}

function isSameCell(a: unknown, b: unknown): boolean {
  if (a === null || b === null) return a === b;
  if (typeof a === 'number' || typeof b === 'number') return Number(a) === Number(b);
  return JSON.stringify(a) === JSON.stringify(b);
}
