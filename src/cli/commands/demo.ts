/** `thermocline demo`: the main job on real input, compared with the original at every step. */
import type { Command } from 'commander';
import { addServerOptions, type ServerFlags } from '../server-options.js';

export function register(program: Command): void {
  addServerOptions(program.command('demo').description('three million real flights in through Kafka, into Parquet, asked by SQL, compared'))
    .option('--records <n>', 'only the first so many flights')
    .option('--synthetic', 'made-up flights, where the real ones are not installed')
    .option('--exit', 'stop after the comparison; exit code 1 if anything differs')
    .action(async (flags: ServerFlags & { records?: string; synthetic?: boolean; exit?: boolean }) => {
      const { runDemo } = await import('../demo/run.js');
      await runDemo(flags);
    });
}
