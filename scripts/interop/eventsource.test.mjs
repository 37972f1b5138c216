// The EventSource clients eventsource and event-source-polyfill, and long polls by node's own fetch.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import polyfill from 'event-source-polyfill';
import {EventSource} from 'eventsource';
import {Inbox, Pushd, until, within} from './pushd.mjs';
import {Relay} from './relay.mjs';

const soon = ['--retry', '50']; // clients come back in 50 ms, not in the seconds that pushd says

// open subscribes a client. Its events are in inbox, with those of the types in addition to message.
async function open(t, url, ...types) {
  const source = new EventSource(url);
  const inbox = new Inbox();
  for (const type of ['message', ...types]) {
    source.addEventListener(type, e => inbox.put({type, data: e.data, id: e.lastEventId}));
  }
  t.after(() => source.close());
  await within('the response', new Promise((resolve, reject) => {
    source.addEventListener('open', resolve, {once: true});
    source.addEventListener('error', e => reject(new Error(`${e.code} ${e.message}`)), {once: true});
  }));
  return {source, inbox};
}

test('events with their types, ids and lines', async t => {
  const pushd = await Pushd.start(t);
  const {inbox} = await open(t, `${pushd.url}/events?channel=a&channel=b%2F%C3%BC`, 'price');
  await pushd.deliver('--id', 'seven', 'a', 'grüße');
  assert.deepEqual(await inbox.next(), {type: 'message', data: 'grüße', id: 'seven'});
  await pushd.deliver('-e', '--event', 'price', '--sse-id', 'eight', 'b/ü', 'first\\nsecond\\n');
  assert.deepEqual(await inbox.next(), {type: 'price', data: 'first\nsecond\n', id: 'eight'});
  const long = 'x'.repeat(200_000);
  await pushd.deliverInput(long, 'a', '-');
  assert.equal((await inbox.next()).data, long);
});

test('a refusal ends the attempts and has a status', async t => {
  const pushd = await Pushd.start(t);
  const source = new EventSource(`${pushd.url}/events`);
  t.after(() => source.close());
  const error = await within('the refusal', new Promise(resolve => source.addEventListener('error', resolve)));
  assert.equal(error.code, 400);
  assert.equal(source.readyState, EventSource.CLOSED);
});

test('a client that was cut off names the last id, and gets what comes then', async t => {
  const pushd = await Pushd.start(t);
  const relay = await Relay.start(t, pushd.port);
  const {inbox} = await open(t, `${relay.url}/events?channel=a`);
  await pushd.deliver(...soon, '--id', 'one', 'a', 'before');
  assert.equal((await inbox.next()).data, 'before');
  relay.cut();
  await until('the client comes back', () => relay.heads.length === 2);
  assert.deepEqual(relay.heads.map(h => h['last-event-id']), [undefined, 'one']);
  await pushd.deliver('a', 'after');
  assert.equal((await inbox.next()).data, 'after');
});

test('with a history nothing is lost over a cut, and nothing comes twice', async t => {
  const pushd = await Pushd.start(t, '--history', '100');
  const relay = await Relay.start(t, pushd.port);
  const {inbox} = await open(t, `${relay.url}/events?channel=a`, 'gap');
  await pushd.deliver(...soon, 'a', 'message 0');
  const want = ['message 0'];
  const got = [await inbox.next()];
  for (let round = 0; round < 5; round++) {
    relay.cut();
    for (let i = 0; i < 4; i++) { // some while the client is away, some perhaps when it is back
      want.push(`message ${want.length}`);
      await pushd.publish(...soon, 'a', want.at(-1));
    }
    got.push(...await inbox.take(4));
  }
  await sleep(200);
  assert.deepEqual([...got, ...inbox.items].map(e => e.data), want);
  assert.ok(got.every(e => e.type === 'message'), 'no gap is told');
  assert.equal(new Set(got.map(e => e.id)).size, got.length, 'every event has its own id');
});

// It names the last id in the URL, behind what the page has there.
test('event-source-polyfill loses nothing over a cut', async t => {
  const pushd = await Pushd.start(t, '--history', '100');
  const relay = await Relay.start(t, pushd.port);
  const source = new polyfill.EventSourcePolyfill(`${relay.url}/events?channel=a&last-id=of-the-page`);
  t.after(() => source.close());
  const inbox = new Inbox();
  for (const type of ['message', 'gap']) source.addEventListener(type, e => inbox.put(e));
  assert.equal((await inbox.next()).type, 'gap');
  await pushd.deliver(...soon, 'a', 'message 0');
  assert.equal((await inbox.next()).data, 'message 0');
  relay.cut();
  for (let i = 1; i <= 3; i++) await pushd.publish(...soon, 'a', `message ${i}`);
  const missed = await inbox.take(3);
  assert.deepEqual(missed.map(e => e.data), ['message 1', 'message 2', 'message 3']);
  assert.deepEqual(inbox.items, [], 'nothing came twice');
  const last = relay.heads.at(-1);
  assert.match(last.target, /lastEventId=/);
  assert.equal(last['last-event-id'], undefined);
});

test('the id of a former pushd is answered with a gap', async t => {
  const pushd = await Pushd.start(t, '--history', '100');
  const {inbox} = await open(t, `${pushd.url}/events?channel=a`, 'gap');
  await pushd.deliver(...soon, 'a', 'before');
  assert.equal((await inbox.next()).data, 'before');
  await pushd.stop('SIGKILL');
  await pushd.restart();
  await pushd.publish('a', 'after');
  const [gap, after] = await inbox.take(2);
  assert.equal(gap.type, 'gap');
  assert.doesNotThrow(() => JSON.parse(gap.data));
  assert.equal(after.data, 'after');
});

test('the latest message on connect', async t => {
  const pushd = await Pushd.start(t, '--history', '100');
  await pushd.publish('a', 'old');
  await pushd.publish('a', 'latest');
  const {inbox} = await open(t, `${pushd.url}/events?channel=a&last=1`, 'gap');
  assert.equal((await inbox.next()).data, 'latest');
});

test('a pushd that goes ends the response in good order', async t => {
  const pushd = await Pushd.start(t);
  const response = await fetch(`${pushd.url}/events?channel=a`);
  const body = response.text(); // it fails when the last chunk is missing
  await pushd.stop('SIGTERM');
  assert.match(await within('the end of the response', body), /retry: \d+/);
});

test('polls one after another', async t => {
  const pushd = await Pushd.start(t);
  const poll = async (query = '') => {
    const answer = await fetch(`${pushd.url}/poll?channel=a${query}`);
    return {status: answer.status, text: await answer.text(), headers: answer.headers};
  };
  assert.deepEqual((({status, text}) => ({status, text}))(await poll('&timeout=1')), {status: 204, text: ''});
  for (const text of ['one', 'two']) {
    const answer = poll();
    await pushd.deliver('--no-eol', '-H', 'X-Kind: test', 'a', text);
    const got = await answer;
    assert.deepEqual([got.status, got.text, got.headers.get('x-kind')], [200, text, 'test']);
  }
  const refused = await poll('&timeout=0');
  assert.equal(refused.status, 400);
  assert.match(refused.text, /timeout/);
});

test('polls with last-id get every message once', async t => {
  const pushd = await Pushd.start(t, '--history', '100');
  const want = Array.from({length: 20}, (_, i) => `message ${i}`);
  await pushd.publish('--no-eol', 'a', 'before');
  const first = await fetch(`${pushd.url}/poll?channel=a&last=1`);
  assert.equal(await first.text(), 'before');
  let id = first.headers.get('last-event-id');
  const got = [];
  const polling = (async () => {
    while (got.length < want.length) {
      const answer = await fetch(`${pushd.url}/poll?channel=a&timeout=5&last-id=${encodeURIComponent(id)}`);
      const text = await answer.text();
      if (answer.status === 204) continue;
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get('event-gap'), null);
      id = answer.headers.get('last-event-id');
      assert.ok(id, 'the answer names its id');
      got.push(text);
    }
  })();
  for (const text of want) await pushd.publish('--no-eol', 'a', text);
  await within('all messages', polling);
  assert.deepEqual(got, want);
});
