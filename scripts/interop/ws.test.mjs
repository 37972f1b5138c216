// The WebSocket client ws.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {WebSocket as UndiciSocket} from 'undici';
import WebSocket from 'ws';
import {Inbox, Pushd, token, until, within} from './pushd.mjs';

// open subscribes a client to the channels. Its messages, pings, pongs and close are in inbox.
async function open(t, pushd, ...channels) {
  const query = channels.map(c => 'channel=' + encodeURIComponent(c)).join('&');
  const socket = new WebSocket(`ws://127.0.0.1:${pushd.port}/ws?${query}`);
  const inbox = new Inbox();
  socket.on('message', (data, isBinary) => inbox.put(isBinary ? {binary: [...data]} : {text: data.toString()}));
  socket.on('ping', data => inbox.put({ping: data.toString()}));
  socket.on('pong', data => inbox.put({pong: data.toString()}));
  socket.on('close', (code, reason) => inbox.put({code, reason: reason.toString()}));
  t.after(() => socket.terminate());
  await within('the handshake', new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject)));
  socket.on('error', () => {});
  return {socket, inbox};
}

test('text and binary messages of several channels', async t => {
  const pushd = await Pushd.start(t);
  const {socket, inbox} = await open(t, pushd, 'a', 'b/ü');
  await pushd.deliver('a', 'grüße');
  assert.deepEqual(await inbox.next(), {text: 'grüße'});
  await pushd.deliverInput(Buffer.from([0xff, 0x00, 0x81]), 'b/ü', '-');
  assert.deepEqual(await inbox.next(), {binary: [0xff, 0x00, 0x81]});
  const long = 'x'.repeat(200_000); // a length of 64 bits, and more than one read
  await pushd.deliverInput(long, 'a', '-');
  assert.equal((await inbox.next()).text, long);
  assert.equal(socket.extensions, '', 'no extension was agreed on, though ws offers one');
});

test('messages arrive in the order of their publishing', async t => {
  const pushd = await Pushd.start(t);
  const {inbox} = await open(t, pushd, 'a');
  const want = Array.from({length: 1000}, (_, i) => `message ${i}`);
  await pushd.deliver('a', 'first');
  await pushd.deliverInput(want.join('\n') + '\n', '-l', 'a');
  assert.deepEqual((await inbox.take(1001)).slice(1).map(m => m.text), want);
});

test('pings are answered, and sent', async t => {
  const pushd = await Pushd.start(t, '--ws-ping', '1s');
  const {socket, inbox} = await open(t, pushd, 'a');
  socket.ping('are you there');
  assert.deepEqual(await inbox.next(), {pong: 'are you there'});
  assert.deepEqual(await inbox.next(), {ping: ''});
  await pushd.deliverItem({channel: 'a', formats: {'ws-message': {type: 'ping', content: 'published'}}});
  assert.deepEqual(await until('the published ping', async () => {
    const got = await inbox.next();
    return got.ping !== '' && got;
  }), {ping: 'published'});
});

test('what clients send is ignored, fragmented or not', async t => {
  const pushd = await Pushd.start(t);
  const sender = await open(t, pushd, 'a');
  const other = await open(t, pushd, 'a');
  sender.socket.send('not for others');
  sender.socket.send('a first ', {fin: false});
  sender.socket.ping('between');
  sender.socket.send('and a second part', {fin: true});
  assert.deepEqual(await sender.inbox.next(), {pong: 'between'});
  await pushd.deliver('a', 'published');
  assert.deepEqual(await sender.inbox.next(), {text: 'published'});
  assert.deepEqual(await other.inbox.next(), {text: 'published'});
});

test('the closing handshake, begun by either side', async t => {
  const pushd = await Pushd.start(t);
  await t.test('by the client', async t => {
    const {socket, inbox} = await open(t, pushd, 'a');
    socket.close(4000, 'enough');
    assert.equal((await inbox.next()).code, 4000);
  });
  await t.test('by a publisher', async t => {
    const {inbox} = await open(t, pushd, 'a');
    await pushd.deliverItem({channel: 'a', formats: {'ws-message': {action: 'close', code: 4001, reason: 'bye'}}});
    assert.deepEqual(await inbox.next(), {code: 4001, reason: 'bye'});
  });
  await t.test('by a publisher that names no code', async t => {
    const {inbox} = await open(t, pushd, 'a');
    await pushd.deliver('--close', 'a');
    assert.equal((await inbox.next()).code, 1000);
  });
  await t.test('by a pushd that goes', async t => {
    const {inbox} = await open(t, pushd, 'a');
    await pushd.stop('SIGTERM');
    assert.equal((await inbox.next()).code, 1001);
  });
});

test('violations are closed with the code of RFC 6455', async t => {
  const pushd = await Pushd.start(t, '--max-message', '64KiB');
  const violations = {
    1002: socket => socket.send('unmasked', {mask: false}),
    1007: socket => socket.send(Buffer.from([0xc3, 0x28]), {binary: false}),
    1009: socket => socket.send('x'.repeat(64 * 1024 + 1)),
  };
  for (const [code, violate] of Object.entries(violations)) {
    await t.test(code, async t => {
      const {socket, inbox} = await open(t, pushd, 'a');
      violate(socket);
      assert.equal((await inbox.next()).code, Number(code));
    });
  }
});

// agreed is the subprotocol with which a client's handshake ends, or null when the client gives up.
function agreed(t, Socket, pushd, offer) {
  const socket = new Socket(`ws://127.0.0.1:${pushd.port}/ws?channel=a`, offer);
  t.after(() => socket.close());
  return within('the handshake', new Promise(resolve => {
    socket.addEventListener('open', () => resolve(socket.protocol));
    socket.addEventListener('error', () => resolve(null));
  }));
}

for (const [name, Socket] of [['ws', WebSocket], ['undici', UndiciSocket]]) {
  test(`${name} offers subprotocols`, async t => {
    const jwt = token('a');
    await t.test('to a pushd that names none', async t => {
      const pushd = await Pushd.start(t);
      assert.equal(await agreed(t, Socket, pushd, []), '');
      assert.equal(await agreed(t, Socket, pushd, ['v1.chat', 'v2.chat']), 'v1.chat');
      assert.equal(await agreed(t, Socket, pushd, [jwt, 'v2.chat']), 'v2.chat');
      assert.equal(await agreed(t, Socket, pushd, [jwt]), jwt);
    });
    await t.test('to a pushd that names some', async t => {
      const pushd = await Pushd.start(t, '--ws-protocol', 'v2.chat', '--ws-protocol', 'v1.chat');
      assert.equal(await agreed(t, Socket, pushd, ['v1.chat', 'v2.chat']), 'v2.chat');
      assert.equal(await agreed(t, Socket, pushd, ['other']), null);
    });
  });
}

test('refused handshakes say why', async t => {
  const pushd = await Pushd.start(t);
  const refusal = (path, options) => within('the refusal', new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${pushd.port}${path}`, options);
    socket.on('open', () => reject(new Error(`${path} was accepted`)));
    socket.on('unexpected-response', (_, response) => {
      response.setEncoding('utf8').on('data', text => resolve({status: response.statusCode, text, headers: response.headers}));
    });
  }));
  const noChannel = await refusal('/ws');
  assert.equal(noChannel.status, 400);
  assert.match(noChannel.text, /channel/);
  const version = await refusal('/ws?channel=a', {protocolVersion: 8});
  assert.equal(version.status, 426);
  assert.equal(version.headers['sec-websocket-version'], '13');
  assert.equal((await refusal('/nowhere?channel=a')).status, 404);
});

test('a client that comes back with last-id gets what it missed', async t => {
  const pushd = await Pushd.start(t, '--history', '100');
  const first = await open(t, pushd, 'a');
  await pushd.deliver('--id', 'm1', 'a', 'one');
  assert.deepEqual(await first.inbox.next(), {text: 'one'});
  first.socket.terminate();
  await pushd.publish('--id', 'm2', 'a', 'two');
  await pushd.publish('--id', 'm3', 'a', 'three');
  const socket = new WebSocket(`ws://127.0.0.1:${pushd.port}/ws?channel=a&last-id=m1`);
  t.after(() => socket.terminate());
  const inbox = new Inbox();
  socket.on('message', data => inbox.put(data.toString()));
  assert.deepEqual(await inbox.take(2), ['two', 'three']);
  await pushd.deliver('a', 'four');
  assert.equal(await inbox.next(), 'four');
  await sleep(100);
  assert.deepEqual(inbox.items, [], 'nothing came twice');
});
