// Our WebSocket: frames by themselves, against the package `ws`, and against the hostile.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createNode } from 'polypeer'
import { WebSocket, WebSocketServer } from 'ws'
import { socketAddress } from '../dist/address.js'
import { HEAD_BYTES, SocketLink } from '../dist/host/node-link.js'
import { dialWs, listenWs } from '../dist/host/node-ws.js'
import { WebSocketFraming } from '../dist/host/ws-frames.js'
import { kept, random, until } from './support.mjs'

const options = { timeout: 60_000 }

/** A frame as `from` sends it. */
function framed(from, payload) {
  const buffer = Buffer.alloc(HEAD_BYTES + payload.length)
  buffer.set(payload, HEAD_BYTES)
  return Buffer.from(from.encode(buffer, payload.length))
}

/** Gives `bytes` to `to` in pieces of `size` bytes, each at another alignment. */
function decoded(to, bytes, size) {
  const parts = []
  for (let at = 0; at < bytes.length; at += size) {
    const piece = bytes.subarray(at, at + size)
    const shifted = new Uint8Array(piece.length + 3).subarray(at % 4)
    shifted.set(piece)
    parts.push(Buffer.from(to.decode(shifted.subarray(0, piece.length))))
  }
  return Buffer.concat(parts)
}

describe('frames', options, () => {
  it('come out as they went in, whatever their length and pieces', () => {
    for (const [from, to] of [
      ['client', 'server'],
      ['server', 'client'],
    ]) {
      for (const length of [0, 1, 31, 125, 126, 127, 65_535, 65_536, 200_001]) {
        const payload = random(length)
        for (const size of length > 1000 ? [4099, 65_536] : [1, 2, 3, 7, 50, 10_000]) {
          const bytes = Buffer.concat([1, 2].map(() => framed(new WebSocketFraming(from), payload)))
          const got = decoded(new WebSocketFraming(to), bytes, size)
          assert.ok(got.equals(Buffer.concat([payload, payload])), `${length} bytes in pieces of ${size}`)
        }
      }
    }
  })

  it("mask what a client sends, each with a mask of its own, and nothing of a server's", () => {
    const client = new WebSocketFraming('client')
    const seen = new Set(
      Array.from({ length: 1000 }, () => framed(client, new Uint8Array(4)).toString('hex')),
    )
    assert.ok(seen.size > 990, `${seen.size} masks of 1000`)
    assert.deepEqual([...framed(new WebSocketFraming('server'), [5, 6])], [0x82, 2, 5, 6])
  })

  it('may be fragments, with control frames between', () => {
    const client = new WebSocketFraming('client')
    const bytes = Buffer.from([0x02, 1, 65, 0x89, 2, 1, 2, 0x00, 0, 0x8a, 0, 0x80, 2, 66, 67, 0x82, 1, 68])
    for (let size = 1; size <= bytes.length; size++) {
      const framing = new WebSocketFraming('client')
      assert.equal(decoded(framing, bytes, size).toString(), 'ABCD')
    }
    assert.equal(client.decode(bytes.slice()).length, 4)
    // A pong, masked, with what the ping carried.
    const pong = client.takeReply()
    assert.deepEqual([...pong.subarray(0, 2)], [0x8a, 0x82])
    assert.deepEqual([pong[6] ^ pong[2], pong[7] ^ pong[3]], [1, 2])
    assert.equal(client.takeReply(), undefined)
  })

  it('of a flood of pings only the last is answered', () => {
    const client = new WebSocketFraming('client')
    client.decode(Buffer.concat(Array.from({ length: 1000 }, (_, i) => Buffer.from([0x89, 1, i & 0xff]))))
    assert.equal(client.takeReply().length, 7)
  })

  it('end with the frame that closes, which is answered in kind', () => {
    const client = new WebSocketFraming('client')
    const got = client.decode(Buffer.from([0x82, 1, 65, 0x88, 2, 0x03, 0xe9, 0x82, 1, 66]))
    assert.equal(Buffer.from(got).toString(), 'A')
    assert.ok(client.ended)
    const reply = client.takeReply()
    assert.deepEqual([reply[6] ^ reply[2], reply[7] ^ reply[3]], [0x03, 0xe9])
    assert.equal(client.goodbye().length, 0, 'said once')
  })

  it('that break the protocol are refused, and the remote is told why', () => {
    for (const [role, bytes, code] of [
      ['client', [0xc2, 0], 1002], // reserved bits
      ['client', [0x81, 0], 1003], // text
      ['client', [0x83, 0], 1002], // unknown kinds
      ['client', [0x8b, 0], 1002],
      ['client', [0x09, 0], 1002], // a fragmented control frame
      ['client', [0x88, 126], 1002], // a long one
      ['client', [0x82, 126, 0, 125], 1002], // a length longer than it need be
      ['client', [0x82, 127, 0, 0, 0, 0, 0, 0, 255, 255], 1002],
      ['client', [0x82, 127, 128, 0, 0, 0, 0, 0, 0, 0], 1002], // a length over 63 bits
      ['client', [0x82, 0x80], 1002], // a masked frame of a server
      ['server', [0x82, 0x00], 1002], // a bare one of a client
      ['client', [0x80, 0], 1002], // the rest of nothing
      ['client', [0x02, 0, 0x82, 0], 1002], // a message in a message
    ]) {
      const framing = new WebSocketFraming(role)
      assert.throws(() => framing.decode(Uint8Array.from(bytes)), { name: 'TransportError' }, String(bytes))
      const reply = framing.takeReply()
      const [first, second] =
        role === 'client' ? [reply[6] ^ reply[2], reply[7] ^ reply[3]] : reply.subarray(2)
      assert.equal((first << 8) | second, code, String(bytes))
      assert.ok(framing.ended)
    }
  })

  it('damaged at random end in an error of ours or go on', () => {
    let seed = 1
    const below = (limit) => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
      return (seed >> 8) % limit
    }
    const genuine = Buffer.concat(
      [3, 0, 200, 70_000].map((n) => framed(new WebSocketFraming('client'), new Uint8Array(n))),
    )
    let refused = 0
    for (let round = 0; round < 10_000; round++) {
      const bytes = Buffer.from(genuine.subarray(0, below(2) === 0 ? 400 : genuine.length))
      for (let count = below(4); count >= 0; count--) bytes[below(230)] ^= 1 << below(8)
      const framing = new WebSocketFraming('server')
      try {
        const got = decoded(framing, bytes, below(300) + 100)
        assert.ok(got.length <= bytes.length)
      } catch (error) {
        assert.equal(error.name, 'TransportError')
        refused += 1
      }
    }
    assert.ok(refused > 1000 && refused < 10_000, `${refused} were refused`)
  })
})

describe('a link', options, () => {
  it('gives a remote that asks but does not read no answers that pile up', () => {
    const written = []
    const socket = Object.assign(new EventEmitter(), {
      writable: true,
      writableLength: 0,
      write: (bytes) => written.push(bytes),
      resume() {},
    })
    new SocketLink(socket, { remote: '', framing: new WebSocketFraming('client') }).start({})
    socket.emit('data', Uint8Array.of(0x89, 0))
    assert.equal(written.length, 1)
    socket.writableLength = 2 ** 20
    for (let count = 0; count < 100; count++) socket.emit('data', Uint8Array.of(0x89, 0))
    assert.equal(written.length, 1)
  })
})

/** A server of ours that sends back what comes; its URL, and the links that it accepted. */
async function echo(t) {
  const links = []
  const server = await listenWs(socketAddress('/ip4/127.0.0.1/tcp/0/ws'), (link) => {
    links.push(link)
    link.start({
      data: (bytes) => link.send(bytes.slice()),
      drain() {},
      end: (error) => Object.assign(link, { error, over: true }),
    })
  })
  t.after(() => server.close())
  return { port: server.address().port, url: `ws://127.0.0.1:${server.address().port}`, links }
}

const dial = (port, signal = new AbortController().signal, transport = 'ws') =>
  dialWs(socketAddress(`/ip4/127.0.0.1/tcp/${port}/${transport}`), '/remote', signal)

/** A link started, with what it told. */
function started(link) {
  const told = { parts: [], length: 0, over: false }
  link.start({
    data(bytes) {
      told.parts.push(Buffer.from(bytes))
      told.length += bytes.length
    },
    drain() {},
    end: (error) => Object.assign(told, { over: true, error }),
  })
  return told
}

describe('as a server', options, () => {
  it('echoes to a client of `ws`: whole messages, fragments, pings, and the close', async (t) => {
    const { url, links } = await echo(t)
    const socket = new WebSocket(url)
    const got = []
    socket.on('message', (data) => got.push(data))
    await once(socket, 'open')
    const sent = random(3_000_000)
    socket.send(sent.subarray(0, 1_000_000), { fin: false })
    socket.ping('there?')
    const [answer] = await once(socket, 'pong')
    assert.equal(answer.toString(), 'there?')
    for (let at = 1_000_000; at < sent.length; at += 100_000) {
      socket.send(sent.subarray(at, at + 100_000), { fin: at + 100_000 >= sent.length })
    }
    await until(() => got.reduce((sum, part) => sum + part.length, 0) === sent.length)
    assert.ok(Buffer.concat(got).equals(sent))
    socket.close(1000)
    const [code] = await once(socket, 'close')
    assert.equal(code, 1000)
    await until(() => links[0].over)
    assert.equal(links[0].error, undefined)
  })

  it('closes with 1000 of its own accord', async (t) => {
    const { url, links } = await echo(t)
    const socket = new WebSocket(url)
    await once(socket, 'open')
    links[0].close()
    assert.equal((await once(socket, 'close'))[0], 1000)
  })

  it('takes binary messages only', async (t) => {
    const { url, links } = await echo(t)
    const socket = new WebSocket(url)
    await once(socket, 'open')
    socket.send('text')
    assert.equal((await once(socket, 'close'))[0], 1003)
    await until(() => links[0].over)
    assert.match(links[0].error.message, /text/)
  })

  it('tells others what it is', async (t) => {
    const { port, links } = await echo(t)
    const upgrade = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' }
    const key = 'dGhlIHNhbXBsZSBub25jZQ=='
    for (const headers of [
      {},
      upgrade,
      { ...upgrade, 'sec-websocket-key': 'short' },
      { ...upgrade, 'sec-websocket-key': key, 'sec-websocket-version': '8' },
      { ...upgrade, 'sec-websocket-key': key, upgrade: 'h2c' },
    ]) {
      const [response] = await once(request({ port, headers }).end(), 'response')
      assert.equal(response.statusCode, 426)
      response.resume()
    }
    assert.equal(links.length, 0)
    // The example of RFC 6455, section 1.3.
    const asking = request({ port, headers: { ...upgrade, 'sec-websocket-key': key } }).end()
    const [response, socket] = await once(asking, 'upgrade')
    assert.equal(response.headers['sec-websocket-accept'], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
    socket.destroy()
  })
})

describe('as a client', options, () => {
  it('reaches a server of `ws`, and takes what comes right behind the handshake', async (t) => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    t.after(() => server.close())
    await once(server, 'listening')
    const pongs = []
    server.on('connection', (socket) => {
      socket.send(Buffer.from('first'))
      socket.ping('there?')
      socket.on('pong', (data) => pongs.push(data.toString()))
      socket.on('message', (data) => socket.send(data))
    })
    const link = await dial(server.address().port)
    const told = started(link)
    const sent = random(250_000)
    link.send(sent)
    await until(() => told.length === 5 + sent.length)
    assert.ok(Buffer.concat(told.parts).equals(Buffer.concat([Buffer.from('first'), sent])))
    await until(() => pongs.length === 1)
    assert.deepEqual(pongs, ['there?'])
    for (const client of server.clients) client.close(1001)
    await until(() => told.over)
    assert.equal(told.error, undefined)
  })

  it('hands the core what comes in one packet with the handshake', async (t) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', (request) => {
        const key = /Sec-WebSocket-Key: (.*)\r/.exec(request.toString())[1]
        const accept = createHash('sha1')
          .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
          .digest('base64')
        const head = `HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
        const words = framed(new WebSocketFraming('server'), Buffer.from('\x13/multistream/1.0.0\n\x03na\n'))
        socket.write(Buffer.concat([Buffer.from(head), words]))
      })
    }).listen(0, '127.0.0.1')
    t.after(() => server.close())
    await once(server, 'listening')
    const [node, { peerId: other }] = await Promise.all([1, 2].map(() => kept(t, createNode())))
    const dialing = node.dial(`/ip4/127.0.0.1/tcp/${server.address().port}/ws/p2p/${other}`)
    await assert.rejects(dialing, /none of the proposed/)
  })

  it('refuses an answer that opens no WebSocket', async (t) => {
    const head = 'HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
    for (const [answer, message] of [
      ['HTTP/1.1 404 Not Found\r\n\r\n', /404/],
      ['SSH-2.0-OpenSSH\r\n\r\n', /not HTTP/],
      [`${head}Sec-WebSocket-Accept: AAAA\r\n\r\n`, /Sec-WebSocket-Accept/],
      ['HTTP/1.1 101 X\r\nConnection: Upgrade\r\n\r\n', /Upgrade/],
      ['HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n', /Connection/],
      [`HTTP/1.1 101 X\r\n${'X: y\r\n'.repeat(2000)}`, /too long/],
      ['', /closed/],
    ]) {
      const server = createServer((socket) => {
        socket.on('error', () => {})
        socket.end(answer)
      }).listen(0, '127.0.0.1')
      t.after(() => server.close())
      await once(server, 'listening')
      await assert.rejects(dial(server.address().port), { name: 'TransportError', message })
    }
  })

  it('gives up when it is told to', async (t) => {
    const server = createServer().listen(0, '127.0.0.1')
    t.after(() => server.close())
    await once(server, 'listening')
    const abort = new AbortController()
    const dialing = dial(server.address().port, abort.signal)
    const [socket] = await once(server, 'connection')
    abort.abort()
    await assert.rejects(dialing, { name: 'TransportError' })
    socket.resume()
    await once(socket, 'close')
  })

  it('asks a certificate of who speaks TLS', async () => {
    // For 127.0.0.1, of nobody, until 2126: a key that protects nothing.
    const fixture = (name) => fileURLToPath(new URL(`fixtures/${name}.pem`, import.meta.url))
    const [key, cert] = [fixture('loopback-key'), fixture('loopback-cert')]
    // A program that trusts the certificate does what this one refuses to do.
    const program = fileURLToPath(new URL('secure-websocket.mjs', import.meta.url))
    const run = (env) =>
      promisify(execFile)(process.execPath, [program, key, cert], { env: { ...process.env, ...env } })
    assert.equal((await run({ NODE_EXTRA_CA_CERTS: cert })).stdout.trim(), 'echoed')
    assert.match((await run({})).stdout, /certificate/)
  })
})
