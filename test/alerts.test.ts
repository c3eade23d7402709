// Alerts, dashboard, runbooks and the operator's page speak of metrics and errors that there are, and each alert has its runbook.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { errorCatalogue } from '../src/kernel/index.js';
import { metricSpecs } from '../src/telemetry/index.js';

const read = (path: string): string => readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), 'utf8');
const runbooks = readdirSync(new URL('../docs/runbooks', import.meta.url)).map((name) => `docs/runbooks/${name}`);
const alerts = read('infra/prometheus/alerts.yml');

describe('what operators are given', () => {
  it('names only metrics that there are', () => {
    const pages = ['infra/prometheus/alerts.yml', 'infra/grafana/thermocline.json', 'docs/guides/operating-the-cold-tier.md', ...runbooks];
    const named = pages.flatMap((page) =>
      [...read(page).matchAll(/thermocline_([a-z_]+[a-z])\b(?!_?\{[a-z]+,)/g)].map(([, name]) => [page, name ?? '']),
    );
    expect(named.length).toBeGreaterThan(50);
    expect(named.filter(([, name = '']) => !(name in metricSpecs))).toEqual([]);
  });

  it('has a runbook for each alert, and for each runbook an alert or a place on the operator’s page', () => {
    const linked = [...alerts.matchAll(/runbook: (\S+)/g)].map(([, path]) => path!);
    const names = [...alerts.matchAll(/alert: (\w+)/g)].map(([, name]) => name!);
    const page = read('docs/guides/operating-the-cold-tier.md');
    const procedures = runbooks.filter((path) => page.includes(path.replace('docs', '..')) && !read(path).includes('**Alert**'));
    expect([...linked, ...procedures].sort()).toEqual([...runbooks].sort());
    expect(linked).toHaveLength(names.length);
    for (const [i, name] of names.entries()) expect(read(linked[i]!)).toContain(`**Alert** \`${name}\``);
  });

  it('tells of error codes that there are', () => {
    const tables = runbooks.flatMap((page) => [...read(page).matchAll(/^\| Code \|.*\n(?:\|.*\n)+/gm)].map(([table]) => table));
    const rows = tables.flatMap((table) => [...table.matchAll(/^\| ((?:`[a-z-]+`(?:, )?)+)[^|]*\|/gm)].map(([, codes]) => codes!));
    const codes = rows.flatMap((row) => [...row.matchAll(/`([a-z-]+)`/g)].map(([, code]) => code!));
    expect(codes.length).toBeGreaterThan(8);
    expect(codes.filter((code) => !(code in errorCatalogue))).toEqual([]);
  });
});
