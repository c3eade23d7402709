/** The gateway's token out of the configuration, and a word where it should have one. */
import { readFileSync } from 'node:fs';
import { parseHostPort, type ServerConfig } from '../config/index.js';
import { isLoopback } from '../gateway/index.js';
import { LakeError } from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';

/** What a header can carry as it is (RFC 6750). */
const tokenPattern = /^[A-Za-z0-9._~+/-]+=*$/;

/** Errors: `config-refused`, `config-invalid-value`; neither names the token. */
export function httpTokenOf(config: ServerConfig): string | undefined {
  const path = config.get('http.token.file');
  const written = config.get('http.token');
  if (path === '') return written === '' ? undefined : checked(written, 'http.token');
  if (written !== '') {
    throw new LakeError('config-refused', 'both http.token and http.token.file are set', { hint: 'Set one of them.' });
  }
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new LakeError('config-refused', `the file ${path} (http.token.file) cannot be read`, {
      hint: 'Write the token into it, readable to the service alone.',
      cause: error,
    });
  }
  return checked(text.trim(), 'http.token.file');
}

function checked(token: string, key: string): string {
  if (tokenPattern.test(token)) return token;
  throw new LakeError('config-invalid-value', `${key}: what is set is no token`, {
    hint: 'Use the characters A-Z, a-z, 0-9 and . _ ~ + / -, as `openssl rand -hex 32` writes some of them.',
    facts: { key },
  });
}

/** Told at start where other machines can reach the gateway and nobody need show a token. */
export function warnOfOpenGateway(config: ServerConfig, token: string | undefined, logger: Logger): void {
  const listen = config.get('http.listen');
  if (token !== undefined || isLoopback(parseHostPort('http.listen', listen).host)) return;
  logger.warn('the gateway takes calls from other machines and wants no token', {
    listen,
    hint: 'Set http.token or http.token.file, or listen on 127.0.0.1.',
  });
}
