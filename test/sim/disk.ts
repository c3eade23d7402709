/**
 * The disk of a simulated machine. It keeps apart what is written and what is on the platter: a power cut forgets what was not
 * fsynced, file by file and name by name, and tears what was being written. A file system of the strict kind: `fsync` of a file
 * says nothing of its name, names come through in the order of their changes, folder by folder.
 */
import { dirname } from 'node:path';
import type { Disk, DiskFile, FileFacts } from '../../src/kernel/index.js';
import type { Seeded } from '../support/seed.js';
import type { SimProcess } from './process.js';
import type { Scheduler } from './scheduler.js';

interface FileNode {
  readonly kind: 'file';
  bytes: Buffer;
  size: number;
  /** What a power cut leaves for certain. */
  synced: Buffer;
  /** Written since the last fsync: [from, to). */
  dirty: Range | undefined;
  /** Dirty when an fsync failed: lost at a power cut, whatever later ones say, unless it is written again. */
  lost: Range | undefined;
  /** A byte that is not what was written, on the platter and in the page cache. */
  rot: Rot | undefined;
  mtimeMs: number;
  readonly birthtimeMs: number;
}

interface Rot {
  readonly at: number;
  readonly sound: number;
}

interface Range {
  readonly from: number;
  readonly to: number;
}

interface FolderNode {
  readonly kind: 'folder';
  names: Map<string, Node>;
  synced: Map<string, Node>;
  /** Changes of names since the last fsync of the folder. */
  changes: ((names: Map<string, Node>) => void)[];
}

type Node = FileNode | FolderNode;

interface Descriptor {
  readonly node: Node;
  readonly path: string;
}

/** Unit in which a torn write comes through. A real one has 512 or 4096; files here are that much smaller. */
const sectorBytes = 64;

/** Of a disk with room for everything. */
export const capacityBytes = 64 * 1024 * 1024;

export interface DiskFaults {
  /** The next write to a path that ends so fails with this. */
  nextWrite?: { readonly code: 'EIO' | 'ENOSPC'; readonly suffix: string } | undefined;
  nextFsync?: { readonly suffix: string } | undefined;
}

export class SimDisk {
  readonly faults: DiskFaults = {};
  capacityBytes = capacityBytes;
  usedBytes = 0;
  readonly #scheduler: Scheduler;
  readonly #random: Seeded;
  #root = folder();
  /** Slowdown of asynchronous calls. */
  latencyMs = 0.05;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
    this.#random = scheduler.random.apart();
  }

  /** Makes a folder that a power cut cannot take away. */
  mount(path: string): void {
    this.#makeFolders(path);
    let node: FolderNode = this.#root;
    for (const name of parts(path)) {
      node.synced = new Map(node.names);
      node.changes = [];
      node = node.names.get(name) as FolderNode;
    }
  }

  /** Everything not fsynced is forgotten, at least in part. Who works on the disk must be dead. */
  powerCut(): void {
    this.#root = this.#cutFolder(this.#root);
    this.usedBytes = this.#bytesOf(this.#root);
  }

  /** Whether a path is there, for oracles. */
  has(path: string): boolean {
    return this.#find(path) !== undefined;
  }

  /** What a power cut leaves of a file for certain, for who chooses what rots; `undefined` where none is there. */
  syncedBytes(path: string): Buffer | undefined {
    const node = this.#find(path);
    return node?.kind === 'file' ? node.synced : undefined;
  }

  /** Names in a folder; none where it is not there. */
  namesIn(path: string): readonly string[] {
    const node = this.#find(path);
    return node?.kind === 'folder' ? [...node.names.keys()].sort() : [];
  }

  /** A byte of a file changes, of what was fsynced and has not been written since. One of a file at a time. */
  rot(path: string, at: number, mask: number): void {
    const node = this.#file(path);
    const sound = node.synced[at];
    if (sound === undefined || node.bytes[at] !== sound || node.rot !== undefined) throw new Error(`byte ${at} of ${path} cannot rot`);
    node.rot = { at, sound };
    node.bytes[at] = sound ^ mask;
    node.synced = Buffer.from(node.synced);
    node.synced[at] = sound ^ mask;
  }

  /** The paths of files that have rotted, by their names of today. */
  rotten(): readonly string[] {
    const found: string[] = [];
    const look = (node: FolderNode, path: string): void => {
      for (const [name, inner] of node.names) {
        if (inner.kind === 'folder') look(inner, `${path}/${name}`);
        else if (inner.rot !== undefined) found.push(`${path}/${name}`);
      }
    };
    look(this.#root, '');
    return found.sort();
  }

  /** Somebody puts the sound bytes back, also of what a power cut would bring back. */
  mend(): void {
    const mendFolder = ({ names, synced }: FolderNode): void => {
      for (const inner of new Set([...names.values(), ...synced.values()])) {
        if (inner.kind === 'folder') mendFolder(inner);
        else if (inner.rot !== undefined) mendFile(inner, inner.rot);
      }
    };
    const mendFile = (node: FileNode, { at, sound }: Rot): void => {
      for (const bytes of [node.bytes, node.synced]) if (at < bytes.length) bytes[at] = sound;
      node.rot = undefined;
    };
    mendFolder(this.#root);
  }

  #cutFolder(node: FolderNode): FolderNode {
    const names = new Map(node.synced);
    const kept = this.#random.whole(0, node.changes.length + 1);
    for (const change of node.changes.slice(0, kept)) change(names);
    const left = folder();
    for (const [name, inner] of names) left.names.set(name, inner.kind === 'folder' ? this.#cutFolder(inner) : this.#cutFile(inner));
    left.synced = new Map(left.names);
    return left;
  }

  #cutFile(node: FileNode): FileNode {
    const bytes = node.dirty === undefined ? node.synced : this.#survivor(node);
    const rot = node.rot !== undefined && node.rot.at < bytes.length ? node.rot : undefined;
    return { ...node, bytes: Buffer.from(bytes), size: bytes.length, synced: Buffer.from(bytes), dirty: undefined, lost: undefined, rot };
  }

  #survivor(node: FileNode): Buffer {
    const written = platterOf(node);
    const draw = this.#random.float();
    if (draw < 0.35) return node.synced;
    if (draw < 0.55) return written;
    // A prefix of it, of which some sectors came through and some did not.
    const from = Math.min(node.synced.length, written.length);
    const size = from + this.#random.whole(0, written.length - from + 1);
    const torn = Buffer.from(written.subarray(0, size));
    for (let at = from - (from % sectorBytes); at < size; at += sectorBytes) {
      if (this.#random.float() < 0.7) continue;
      for (let i = at; i < Math.min(at + sectorBytes, size); i++) torn[i] = node.synced[i] ?? 0;
    }
    return torn;
  }

  #bytesOf(node: Node): number {
    if (node.kind === 'file') return node.size;
    let bytes = 0;
    for (const inner of node.names.values()) bytes += this.#bytesOf(inner);
    return bytes;
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of parts(path)) {
      if (node?.kind !== 'folder') return undefined;
      node = node.names.get(name);
    }
    return node;
  }

  #folder(path: string): FolderNode {
    const node = this.#find(path);
    if (node === undefined) throw failure('ENOENT', path);
    if (node.kind !== 'folder') throw failure('ENOTDIR', path);
    return node;
  }

  #file(path: string): FileNode {
    const node = this.#find(path);
    if (node === undefined) throw failure('ENOENT', path);
    if (node.kind !== 'file') throw failure('EISDIR', path);
    return node;
  }

  #change(at: FolderNode, change: (names: Map<string, Node>) => void): void {
    change(at.names);
    at.changes.push(change);
  }

  #makeFolders(path: string): void {
    let node: FolderNode = this.#root;
    for (const name of parts(path)) {
      let next = node.names.get(name);
      if (next === undefined) {
        const made = folder();
        this.#change(node, (names) => void names.set(name, made));
        next = made;
      }
      if (next.kind !== 'folder') throw failure('ENOTDIR', path);
      node = next;
    }
  }

  #open(path: string, flags: string): Node {
    const found = this.#find(path);
    if (flags.startsWith('r')) {
      if (found === undefined) throw failure('ENOENT', path);
      return found;
    }
    if (found !== undefined) {
      if (flags.includes('x')) throw failure('EEXIST', path);
      const file = this.#file(path);
      if (flags.startsWith('w')) this.#truncate(file, 0);
      return file;
    }
    const nowMs = this.#scheduler.wallMs;
    const made: FileNode = {
      kind: 'file',
      bytes: Buffer.alloc(0),
      size: 0,
      synced: Buffer.alloc(0),
      dirty: undefined,
      lost: undefined,
      rot: undefined,
      mtimeMs: nowMs,
      birthtimeMs: nowMs,
    };
    this.#change(this.#folder(dirname(path)), (names) => void names.set(nameOf(path), made));
    return made;
  }

  #truncate(node: FileNode, bytes: number): void {
    if (bytes > node.size) this.#grow(node, bytes);
    this.usedBytes -= node.size - bytes;
    node.bytes.fill(0, bytes);
    node.size = bytes;
    if (node.rot !== undefined && node.rot.at >= bytes) node.rot = undefined;
    node.dirty = hull(node.dirty, { from: bytes, to: bytes });
    node.lost = without(node.lost, { from: bytes, to: Number.POSITIVE_INFINITY });
    node.mtimeMs = this.#scheduler.wallMs;
  }

  #grow(node: FileNode, bytes: number): void {
    if (bytes > node.bytes.length) {
      const grown = Buffer.alloc(Math.max(256, bytes, node.bytes.length * 2));
      node.bytes.copy(grown, 0, 0, node.size);
      node.bytes = grown;
    }
    this.usedBytes += Math.max(0, bytes - node.size);
    node.size = Math.max(node.size, bytes);
  }

  #write(node: Node, path: string, bytes: Uint8Array, position: number): number {
    if (node.kind !== 'file') throw failure('EISDIR', path);
    const fault = this.faults.nextWrite;
    if (fault !== undefined && path.endsWith(fault.suffix)) {
      this.faults.nextWrite = undefined;
      throw failure(fault.code, path);
    }
    const more = Math.max(0, position + bytes.length - node.size);
    const room = this.capacityBytes - this.usedBytes;
    if (more > 0 && room <= 0) throw failure('ENOSPC', path);
    const count = more > room ? Math.max(1, bytes.length - (more - room)) : bytes.length;
    this.#grow(node, position + count);
    node.bytes.set(bytes.subarray(0, count), position);
    const range = { from: position, to: position + count };
    node.dirty = hull(node.dirty, range);
    node.lost = without(node.lost, range);
    node.mtimeMs = this.#scheduler.wallMs;
    return count;
  }

  #sync(node: Node, path: string): void {
    if (node.kind === 'folder') {
      node.synced = new Map(node.names);
      node.changes = [];
      return;
    }
    const fault = this.faults.nextFsync;
    if (fault !== undefined && path.endsWith(fault.suffix)) {
      this.faults.nextFsync = undefined;
      // As Linux does: the pages count as clean from now on, and are not on the platter.
      if (node.dirty !== undefined) node.lost = hull(node.lost, node.dirty);
      node.dirty = undefined;
      throw failure('EIO', path);
    }
    if (node.dirty === undefined) return;
    node.synced = platterOf(node);
    node.dirty = undefined;
  }

  #rename(from: string, to: string): void {
    const node = this.#find(from);
    if (node === undefined) throw failure('ENOENT', from);
    const replaced = this.#find(to);
    if (replaced?.kind === 'file') this.#unlinked(replaced);
    const [source, target] = [this.#folder(dirname(from)), this.#folder(dirname(to))];
    if (source === target) {
      this.#change(source, (names) => {
        names.delete(nameOf(from));
        names.set(nameOf(to), node);
      });
      return;
    }
    this.#change(target, (names) => void names.set(nameOf(to), node));
    this.#change(source, (names) => void names.delete(nameOf(from)));
  }

  #unlinked(node: Node): void {
    this.usedBytes -= this.#bytesOf(node);
  }

  #remove(path: string, options: { readonly recursive?: boolean; readonly force: boolean }): void {
    const node = this.#find(path);
    if (node === undefined) {
      if (options.force) return;
      throw failure('ENOENT', path);
    }
    if (node.kind === 'folder' && options.recursive !== true) throw failure('EISDIR', path);
    this.#unlinked(node);
    this.#change(this.#folder(dirname(path)), (names) => void names.delete(nameOf(path)));
  }

  #facts(path: string): FileFacts {
    const node = this.#find(path);
    if (node === undefined) throw failure('ENOENT', path);
    if (node.kind === 'folder') return { size: 0, mtimeMs: 0, birthtimeMs: 0, dev: 1 };
    return { size: node.size, mtimeMs: node.mtimeMs, birthtimeMs: node.birthtimeMs, dev: 1 };
  }

  #readFile(path: string): Buffer {
    const node = this.#file(path);
    return Buffer.from(node.bytes.subarray(0, node.size));
  }

  #readInto(node: Node, path: string, into: Uint8Array, at: number, length: number, position: number): number {
    if (node.kind !== 'file') throw failure('EISDIR', path);
    const count = Math.max(0, Math.min(length, node.size - position, into.length - at));
    into.set(node.bytes.subarray(position, position + count), at);
    return count;
  }

  /** The disk as one process uses it: what the process does after its death has no effect. */
  of(process: SimProcess): Disk {
    const descriptors = new Map<number, Descriptor>();
    let lastFd = 2;
    const sync = <T>(effect: () => T): T => {
      process.step();
      const value = effect();
      process.stepped();
      return value;
    };
    const later = <T>(effect: () => T): Promise<T> => {
      const half = this.latencyMs * (0.5 + process.random.float());
      return process.call(half, half, effect);
    };
    const of = (fd: number): Descriptor => {
      const found = descriptors.get(fd);
      if (found === undefined) throw failure('EBADF', String(fd));
      return found;
    };
    const openFile = (path: string, flags: string): number => {
      const node = this.#open(path, flags);
      descriptors.set(++lastFd, { node, path });
      return lastFd;
    };
    const handleOf = (fd: number): DiskFile => {
      let isOpen = true;
      return {
        read: (into, at, length, position) =>
          later(() => ({ bytesRead: this.#readInto(of(fd).node, of(fd).path, into, at, length, position) })),
        write: (bytes, at, length, position) =>
          later(() => ({ bytesWritten: this.#write(of(fd).node, of(fd).path, bytes.subarray(at, at + length), position) })),
        writeFile: (text) =>
          later(() => {
            // As Node does: goes on after a short write, until all is written or the disk refuses.
            const bytes = Buffer.from(text);
            for (let at = 0; at < bytes.length; ) at += this.#write(of(fd).node, of(fd).path, bytes.subarray(at), at);
          }),
        sync: () => later(() => this.#sync(of(fd).node, of(fd).path)),
        close: () =>
          later(() => {
            if (isOpen) descriptors.delete(fd);
            isOpen = false;
          }),
      };
    };
    return {
      openSync: (path, flags) => sync(() => openFile(path, flags)),
      closeSync: (fd) => sync(() => void descriptors.delete(fd)),
      writeSync: (fd, bytes, at, length, position) =>
        sync(() => this.#write(of(fd).node, of(fd).path, bytes.subarray(at, at + length), position)),
      readSync: (fd, into, at, length, position) => sync(() => this.#readInto(of(fd).node, of(fd).path, into, at, length, position)),
      ftruncateSync: (fd, bytes) => sync(() => this.#truncate(of(fd).node as FileNode, bytes)),
      futimesSync: (fd, _accessed, changedSeconds) =>
        sync(() => {
          const { node } = of(fd);
          if (node.kind === 'file') node.mtimeMs = changedSeconds * 1000;
        }),
      fsyncSync: (fd) => sync(() => this.#sync(of(fd).node, of(fd).path)),
      fdatasyncSync: (fd) => sync(() => this.#sync(of(fd).node, of(fd).path)),
      readFileSync: (path) => sync(() => this.#readFile(path)),
      readdirSync: (path) => sync(() => [...this.#folder(path).names.keys()].sort()),
      statSync: (path) => sync(() => this.#facts(path)),
      mkdirSync: (path, options) => sync(() => this.#mkdir(path, options?.recursive === true)),
      renameSync: (from, to) => sync(() => this.#rename(from, to)),
      rmSync: (path, options) => sync(() => this.#remove(path, options)),
      read: (fd, into, at, length, position, done) => {
        later(() => this.#readInto(of(fd).node, of(fd).path, into, at, length, position)).then(
          (count) => done(null, count),
          (error: unknown) => done(error as NodeJS.ErrnoException, 0),
        );
      },
      open: (path, flags) => later(() => handleOf(openFile(path, flags))),
      readFile: (path) => later(() => this.#readFile(path)),
      readdir: (path) => later(() => [...this.#folder(path).names.keys()].sort()),
      stat: (path) => later(() => this.#facts(path)),
      statfs: () => later(() => ({ blocks: this.capacityBytes, bavail: Math.max(0, this.capacityBytes - this.usedBytes), bsize: 1 })),
      mkdir: (path, options) => later(() => this.#mkdir(path, options?.recursive === true)),
      rename: (from, to) => later(() => this.#rename(from, to)),
      rm: (path, options) => later(() => this.#remove(path, options)),
    };
  }

  #mkdir(path: string, isRecursive: boolean): void {
    if (isRecursive) {
      this.#makeFolders(path);
      return;
    }
    if (this.#find(path) !== undefined) throw failure('EEXIST', path);
    const made = folder();
    this.#change(this.#folder(dirname(path)), (names) => void names.set(nameOf(path), made));
  }
}

/** What an fsync brings to the platter: all that is written, but for what an earlier one lost. */
function platterOf(node: FileNode): Buffer {
  const bytes = Buffer.from(node.bytes.subarray(0, node.size));
  for (let at = node.lost?.from ?? 0; at < Math.min(node.lost?.to ?? 0, bytes.length); at++) bytes[at] = node.synced[at] ?? 0;
  return bytes;
}

function hull(a: Range | undefined, b: Range): Range {
  return a === undefined ? b : { from: Math.min(a.from, b.from), to: Math.max(a.to, b.to) };
}

/** `undefined` where nothing is left; a range in the middle takes nothing away. */
function without(a: Range | undefined, b: Range): Range | undefined {
  if (a === undefined) return undefined;
  const from = b.from <= a.from ? Math.max(a.from, b.to) : a.from;
  const to = b.to >= a.to ? Math.min(a.to, b.from) : a.to;
  return from < to ? { from, to } : undefined;
}

function folder(): FolderNode {
  return { kind: 'folder', names: new Map(), synced: new Map(), changes: [] };
}

function parts(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}

function nameOf(path: string): string {
  return parts(path).at(-1) ?? '';
}

function failure(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}
