// A TCP relay between a client and pushd, that sees the heads of requests and can cut connections.
import {connect, createServer} from 'node:net';

export class Relay {
  heads = []; // of the requests, none of which may have a body
  #sockets = new Set();

  /** start relays to the port for the time of the test t. */
  static async start(t, port) {
    const r = new Relay();
    const server = createServer(client => r.#join(client, port));
    await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
    r.port = server.address().port;
    t.after(() => {
      r.cut();
      return new Promise(resolve => server.close(resolve));
    });
    return r;
  }

  get url() { return `http://127.0.0.1:${this.port}`; }

  /** cut breaks every connection without a good-bye. */
  cut() {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** headsOf lists the heads of the requests whose target begins with path, as objects of lower-case names. */
  headsOf(path) {
    return this.heads.filter(h => h.target.startsWith(path));
  }

  #join(client, port) {
    const server = connect(port, '127.0.0.1');
    let rest = '';
    let upgraded = false; // frames follow
    client.on('data', bytes => {
      if (upgraded) return;
      const parts = (rest + bytes.toString('latin1')).split('\r\n\r\n');
      rest = parts.pop();
      for (const part of parts) {
        const head = parseHead(part);
        this.heads.push(head);
        upgraded ||= 'upgrade' in head;
      }
    });
    client.pipe(server).pipe(client);
    for (const [socket, other] of [[client, server], [server, client]]) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => { this.#sockets.delete(socket); other.destroy(); });
    }
  }
}

function parseHead(text) {
  const [line, ...fields] = text.split('\r\n');
  const head = {method: line.split(' ')[0], target: line.split(' ')[1]};
  for (const field of fields) {
    const colon = field.indexOf(':');
    head[field.slice(0, colon).toLowerCase()] = field.slice(colon + 1).trim();
  }
  return head;
}
