// The npm package statsd, Etsy's own, as the sink of pushd's --statsd.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {createSocket} from 'node:dgram';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {connect} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import {freePort, listens, Pushd, until} from './pushd.mjs';

const program = createRequire(import.meta.url).resolve('statsd/stats.js');
const forever = 3_600_000; // ms after which statsd forgets what it counted

// freeUDP is a UDP port of 127.0.0.1 to which nobody listens.
function freeUDP() {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4').once('error', reject).bind(0, '127.0.0.1', () => {
      const {port} = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

// start runs a statsd on the port for the time of the test t, and gives what asks its management port for what it has.
async function start(t, port) {
  const management = await freePort();
  const dir = await mkdtemp(join(tmpdir(), 'interop-'));
  const config = join(dir, 'config.js');
  await writeFile(config, JSON.stringify({
    address: '127.0.0.1', port, mgmt_address: '127.0.0.1', mgmt_port: management, flushInterval: forever, backends: [],
  }));
  const child = spawn(process.execPath, [program, config], {stdio: ['ignore', 'ignore', 'inherit']});
  const ended = new Promise(resolve => child.once('exit', resolve));
  t.after(async () => {
    child.kill('SIGKILL');
    await ended; // it watches its file
    await rm(dir, {recursive: true});
  });
  await until('statsd listens', () => listens(management));
  return command => ask(management, command);
}

// ask gives the numbers of an answer by their names.
function ask(port, command) {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(command + '\n')).on('error', reject);
    socket.on('data', data => {
      text += data;
      if (!text.includes('END')) return;
      socket.destroy();
      resolve(Object.fromEntries([...text.matchAll(/'?([\w.-]+)'?: \[?\s*(-?[\d.]+)/g)].map(m => [m[1], Number(m[2])])));
    });
  });
}

test('counters add up, gauges are as they are, and the last is sent at the end', async t => {
  const port = await freeUDP();
  const statsd = await start(t, port);
  const pushd = await Pushd.start(t, '--statsd', `localhost:${port}`, '--statsd-interval', '100ms', '--statsd-prefix', 'push.test');
  const clients = await Promise.all([1, 2, 3].map(() => fetch(`${pushd.url}/events?channel=a`)));
  t.after(() => Promise.all(clients.map(c => c.body.cancel().catch(() => {}))));
  await until('three clients are held', async () => await pushd.held() === 3);
  for (let i = 0; i < 20; i++) await pushd.publish('a', `message ${i}`);
  await until('the gauge of events is 3', async () => (await statsd('gauges'))['push.test.connections.events'] === 3);
  await pushd.stop('SIGTERM');
  const counters = await until('60 deliveries', async () => {
    const now = await statsd('counters');
    return now['push.test.deliveries'] === 60 && now;
  });
  assert.equal(counters['push.test.published'], 20);
  assert.equal(counters['push.test.closed.drain'], 3, 'what came after the last interval is there as well');
  assert.equal(counters['statsd.bad_lines_seen'], 0);
  const gauges = await statsd('gauges');
  assert.equal(gauges['push.test.connections.total'], 0);
  assert.ok(gauges['push.test.rss_bytes'] > 1e6);
  const timers = await statsd('timers');
  assert.ok(timers['push.test.publish_to_write.p99'] > 0, 'durations are there, in milliseconds');
});

test('a statsd that comes later gets what is sent from then on', async t => {
  const port = await freeUDP();
  const pushd = await Pushd.start(t, '--statsd', `127.0.0.1:${port}`, '--statsd-interval', '100ms');
  await pushd.publish('a', 'nobody hears of it');
  const statsd = await start(t, port);
  await until('statsd gets something', async () => (await statsd('gauges'))['pushd.fds.limit'] > 0);
});
