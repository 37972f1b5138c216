// A pushd of one test's own, and what publishes to it.
import {execFile, spawn} from 'node:child_process';
import {createHmac} from 'node:crypto';
import {mkdtemp, rm} from 'node:fs/promises';
import {connect, createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';

export const patience = 15_000; // ms that every wait may take

const bin = process.env.HOLDFAST_BIN; // the directory of pushd, pushpub and pushstat
if (!bin) throw new Error('HOLDFAST_BIN is not set: run make interop');

const noReceivers = 4; // exit code of pushpub --require-receivers

/** until waits for a true value of claim, which may be async. */
export async function until(what, claim) {
  const end = Date.now() + patience;
  for (;;) {
    const value = await claim();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await sleep(20);
  }
}

/** freePort is a port of 127.0.0.1 on which nobody listens. */
export function freePort() {
  return bindable(0);
}

/**
 * freePorts is the first of n ports of 127.0.0.1 in a row that are free. They are below those that the kernel hands out: a
 * connection that has one of these, or had it a minute ago, is in the way too.
 */
export async function freePorts(n) {
  for (let tries = 0; tries < 100; tries++) {
    const first = 10_000 + Math.floor(Math.random() * 20_000);
    const row = Array.from({length: n}, (_, i) => bindable(first + i));
    if ((await Promise.allSettled(row)).every(port => port.status === 'fulfilled')) return first;
  }
  throw new Error(`no ${n} free ports in a row`);
}

// bindable is the port, once it has been listened on.
function bindable(port) {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject).listen(port, '127.0.0.1', () => {
      const bound = server.address().port;
      server.close(() => resolve(bound));
    });
  });
}

/** temporary is a directory for the time of the test t. */
export async function temporary(t) {
  const dir = await mkdtemp(join(tmpdir(), 'interop-'));
  t.after(() => rm(dir, {recursive: true}));
  return dir;
}

const running = new Set();
process.on('exit', () => running.forEach(child => child.kill('SIGKILL')));

export class Pushd {
  /** start runs pushd with flags for the time of the test t. */
  static async start(t, ...flags) {
    const p = new Pushd();
    p.dir = await mkdtemp(join(tmpdir(), 'interop-'));
    p.socket = join(p.dir, 'pushd.sock');
    p.port = await freePort();
    p.flags = ['--listen', `127.0.0.1:${p.port}`, '--socket', p.socket, '--publish-listen', 'off', '--loops', '2',
      '--drain-timeout', '200ms', ...flags];
    t.after(async () => {
      await p.stop('SIGKILL');
      await rm(p.dir, {recursive: true});
    });
    await p.restart();
    return p;
  }

  get url() { return `http://127.0.0.1:${this.port}`; }

  /** restart starts pushd, which must have been stopped, on the same port. */
  async restart() {
    let log = '';
    this.child = spawn(join(bin, 'pushd'), this.flags, {stdio: ['ignore', 'ignore', 'pipe'], env: cleanEnv()});
    running.add(this.child);
    this.child.stderr.on('data', text => { log += text; });
    this.ended = new Promise(resolve => this.child.once('exit', resolve));
    await until('pushd listens', async () => {
      if (this.child.exitCode !== null) throw new Error(`pushd ${this.flags.join(' ')} ended:\n${log}`);
      return listens(this.port);
    });
  }

  /** stop ends pushd by the signal, and waits for its end. */
  async stop(signal) {
    this.child?.kill(signal);
    await this.ended;
    running.delete(this.child);
  }

  /** pushpub runs pushpub with args, and gives its exit code and output. */
  pushpub(args, input = '') {
    return new Promise(resolve => {
      const child = execFile(join(bin, 'pushpub'), ['--socket', this.socket, ...args], {env: cleanEnv()},
        (err, stdout, stderr) => resolve({code: err ? err.code : 0, stdout, stderr}));
      child.stdin.on('error', () => {}); // it may end without reading
      child.stdin.end(input);
    });
  }

  /** held is how many requests pushd holds. */
  async held() {
    const {stdout} = await promisify(execFile)(join(bin, 'pushstat'), ['--socket', this.socket, '--once', '--json'], {env: cleanEnv()});
    const {events, stream, poll, ws} = JSON.parse(stdout).connections;
    return events + stream + poll + ws;
  }

  /** publish publishes, whether somebody receives it or not. */
  async publish(...args) {
    const {code, stderr} = await this.pushpub(args);
    if (code !== 0) throw new Error(`pushpub ${args.join(' ')} exits with ${code}: ${stderr}`);
  }

  /** deliver publishes until somebody receives it: clients do not say when pushd holds them. */
  async deliver(...args) {
    await this.deliverInput('', ...args);
  }

  /** deliverInput is deliver with an input for pushpub. */
  async deliverInput(input, ...args) {
    await until(`somebody receives pushpub ${args.join(' ')}`, async () => {
      const {code, stderr} = await this.pushpub(['--require-receivers', ...args], input);
      if (code !== 0 && code !== noReceivers) throw new Error(`pushpub ${args.join(' ')} exits with ${code}: ${stderr}`);
      return code === 0;
    });
  }

  /** deliverItem is deliver for a whole item, in JSON. */
  async deliverItem(item) {
    await this.deliverInput(JSON.stringify(item) + '\n', '--jsonl');
  }
}

// The settings of whoever runs the tests are not the tests'.
function cleanEnv() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PUSHD_')));
}

/** listens is whether somebody listens on the port of 127.0.0.1. */
export function listens(port) {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}

/** Inbox keeps what a client receives until a test takes it. */
export class Inbox {
  items = [];
  waiting = [];

  put(item) {
    const waiter = this.waiting.shift();
    if (waiter) waiter(item); else this.items.push(item);
  }

  /** next takes the oldest item, or waits for it. */
  async next(what = 'the next item') {
    if (this.items.length > 0) return this.items.shift();
    return within(what, new Promise(resolve => this.waiting.push(resolve)));
  }

  async take(n) {
    const taken = [];
    while (taken.length < n) taken.push(await this.next(`item ${taken.length + 1} of ${n}`));
    return taken;
  }
}

/** within is promise, which fails when it takes too long. */
export async function within(what, promise) {
  const timer = new AbortController();
  try {
    return await Promise.race([
      promise,
      sleep(patience, undefined, {signal: timer.signal}).then(() => { throw new Error(`waited in vain: ${what}`); }),
    ]);
  } finally {
    timer.abort();
  }
}

const secret = 'a secret that only these tests know';

/** tokenKey are the flags of a pushd that takes tokens. */
export const tokenKey = ['--token-key', 'base64:' + Buffer.from(secret).toString('base64')];

/** token is a JSON Web Token for the channels, for some minutes. */
export function token(...channels) {
  const part = value => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = part({alg: 'HS256', typ: 'JWT'}) + '.' + part({channels, exp: Math.floor(Date.now() / 1000) + 300});
  return signed + '.' + createHmac('sha256', secret).update(signed).digest('base64url');
}
