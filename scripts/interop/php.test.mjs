// PHP's built-in server as backend, many ports, and pushpin-publish: the set-up in which Pushpin held a million clients.
import assert from 'node:assert/strict';
import {execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import {writeFile} from 'node:fs/promises';
import {connect} from 'node:net';
import {join} from 'node:path';
import {test} from 'node:test';
import {promisify} from 'node:util';
import {freePort, freePorts, listens, Pushd, temporary, until, within} from './pushd.mjs';

const ports = 4;
const clients = 200;

// php runs stream.php, for the time of the test.
async function php(t) {
  const port = await freePort();
  const child = spawn(process.env.HOLDFAST_PHP, ['-S', `127.0.0.1:${port}`, '-t', import.meta.dirname],
    {stdio: 'ignore'});
  const ended = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  await until('php listens', () => {
    if (child.exitCode !== null) throw new Error(`php ended with ${child.exitCode}`);
    return listens(port);
  });
  return port;
}

// subscribe opens a stream by hand: fetch has its own idea of how many connections there are.
async function subscribe(t, port, path) {
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  const client = {text: '', ended: false};
  socket.setEncoding('latin1').on('data', text => { client.text += text; }).on('error', () => {}).on('close', () => { client.ended = true; });
  await within('the connection', once(socket, 'connect'));
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n`);
  return client;
}

test('200 clients of stream.php over several ports get what pushpin-publish publishes', async t => {
  const [backend, publish, first] = [await php(t), await freePort(), await freePorts(ports)];
  const routes = join(await temporary(t), 'routes');
  await writeFile(routes, `* localhost:${backend}\n`);
  const pushd = await Pushd.start(t, '--listen', `127.0.0.1:${first}-${first + ports - 1}`,
    '--publish-listen', `127.0.0.1:${publish}`, '--routes', routes);
  const pushpinPublish = (...args) => promisify(execFile)(process.env.HOLDFAST_PUSHPIN_PUBLISH,
    ['--no-eol', '--spec', `http://127.0.0.1:${publish}`, ...args]);

  const all = [];
  for (let i = 0; i < clients; i++) all.push(await subscribe(t, first + i % ports, '/stream.php?topic=test'));
  const other = await subscribe(t, first, '/stream.php?topic=other');
  const open = 'event: message\ndata: stream open\n\n';
  await until('every stream is open', () => [...all, other].every(c => c.text.includes(open)));
  await until('all are held', async () => (await pushd.held()) === clients + 1);
  for (const c of all) {
    const head = c.text.slice(0, c.text.indexOf('\r\n\r\n'));
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(head, /\r\nContent-Type: text\/event-stream/i);
    assert.doesNotMatch(head, /grip-/i);
  }
  const event = 'event: message\ndata: hello world\n\n';
  const {stdout} = await pushpinPublish('test', event);
  assert.equal(stdout, 'Published\n');
  await until('all have it', () => all.every(c => c.text.includes(event)));
  await pushpinPublish('other', 'data: last\n\n');
  await until('the other has its own', () => other.text.includes('data: last\n\n'));
  for (const c of all) {
    assert.equal(c.text.split(event).length, 2, 'it came once');
    assert.ok(!c.text.includes('last') && !c.ended);
  }
  assert.ok(!other.text.includes('hello world'));

  await pushpinPublish('--close', 'test', '');
  await until('all are closed', async () => all.every(c => c.text.endsWith('0\r\n\r\n')) && (await pushd.held()) === 1);
});

test('without the parameter the text of stream.php comes through', async t => {
  const backend = await php(t);
  const routes = join(await temporary(t), 'routes');
  await writeFile(routes, `* localhost:${backend}\n`);
  const pushd = await Pushd.start(t, '--routes', routes);
  const response = await within('the answer', fetch(pushd.url + '/stream.php'));
  assert.equal(response.status, 400);
  assert.match(response.headers.get('content-type'), /^text\/plain/);
  assert.equal(await response.text(), 'parameter topic is missing\n');
});
