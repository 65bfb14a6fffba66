// What strangers can do to a listener on WebRTC direct, and what becomes of a stack that breaks.
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { DirectListener } from '../dist/host/webrtc/node-listener.js'
import { SessionLink } from '../dist/host/webrtc/node-session.js'
import { Stack } from '../dist/host/webrtc/node-stack.js'
import { localAddress, openSocket } from '../dist/host/webrtc/node-udp.js'

/** The check of a dialer of version 2, and the beginning of DTLS. */
const check = await readFile(new URL('../../crate/webrtc/tests/vectors/request-v2.bin', import.meta.url))
const hello = Uint8Array.of(22, 0xfe, 0xfd)

class Socket extends EventEmitter {
  sent = []
  queued = 0

  getSendQueueSize() {
    return this.queued
  }

  send(datagram, port, address) {
    this.sent.push({ datagram, port, address })
  }

  close(done) {
    done()
  }
}

async function listening() {
  const stack = new Stack(await Stack.load())
  stack.identity(stack.certificate())
  const socket = new Socket()
  const listener = new DirectListener(
    socket,
    () => stack,
    () => assert.fail('nobody connects'),
  )
  const come = (address, port) => {
    for (const datagram of [check, hello]) socket.emit('message', datagram, { address, port })
  }
  return { stack, socket, listener, come }
}

describe('a listener on WebRTC direct', { timeout: 60_000 }, () => {
  it('has few handshakes at a time, and fewer with one address', async () => {
    const { listener, come } = await listening()
    for (let port = 1; port <= 20; port++) come('192.0.2.1', port)
    assert.equal(listener.handshakes, 8)
    for (let host = 2; host <= 150; host++) come(`192.0.2.${host}`, 1)
    assert.equal(listener.handshakes, 64)
    // A proxy on this machine speaks for many.
    for (let port = 1; port <= 20; port++) come('127.0.0.1', port)
    for (let port = 1; port <= 20; port++) come('2001:db8::1%eth0', port)
    assert.equal(listener.handshakes, 64)
    await listener.close()
    assert.equal(listener.handshakes, 0)
    come('192.0.2.1', 1)
    assert.equal(listener.handshakes, 0)
  })

  it('gives up those who take their time', async (t) => {
    const { listener, come } = await listening()
    t.mock.timers.enable({ apis: ['setTimeout'] })
    come('192.0.2.1', 1)
    t.mock.timers.tick(9_999)
    assert.equal(listener.handshakes, 1)
    t.mock.timers.tick(1)
    await Promise.resolve()
    await listener.close()
    assert.equal(listener.handshakes, 0)
  })

  it('takes up nobody who has not asked, and nothing that is nonsense', async () => {
    const { socket, listener } = await listening()
    const from = { address: '192.0.2.1', port: 1 }
    socket.emit('message', hello, from)
    for (let length = 0; length < 3000; length += 13) {
      socket.emit('message', new Uint8Array(length).fill(length & 63), from)
    }
    socket.emit('error', new Error('nobody took it'))
    assert.equal(listener.handshakes, 0)
    assert.equal(socket.sent.length, 0)
    socket.emit('message', check, from)
    assert.equal(socket.sent.length, 1)
    assert.equal(socket.sent[0].address, from.address)
    // What does not get away is lost and not kept.
    socket.queued = 4 * 1024 * 1024
    socket.emit('message', check, from)
    assert.equal(socket.sent.length, 1)
    await listener.close()
  })
})

describe('the own end of a session', { timeout: 60_000 }, () => {
  for (const [bound, own] of [
    ['127.0.0.1', '/ip4/127.0.0.1'],
    ['0.0.0.0', '/ip4/127.0.0.1'],
    ['::', '/ip6/::1'],
  ]) {
    it(`is told for ${bound}`, async () => {
      const socket = await openSocket(bound, 0)
      const { port } = socket.address()
      const remote = { address: bound === '::' ? '::1' : '127.0.0.1', port: 9 }
      assert.equal(await localAddress(socket, remote), `${own}/udp/${port}/webrtc-direct`)
      socket.close()
    })
  }
})

describe('a stack that breaks', { timeout: 60_000 }, () => {
  it('ends its sessions with a reason, answers nothing, and is replaced', async () => {
    const broken = new Stack(await Stack.load())
    const number = broken.dial(2, new Uint8Array(34), '192.0.2.1:4001')
    let closed = 0
    const path = { send() {}, close: () => closed++ }
    const link = new SessionLink(broken, number, path, '/ip4/192.0.2.1/udp/4001/webrtc-direct')
    const opening = link.opened()
    assert.throws(() => broken.dial(2, new Uint8Array(3), ''), { code: 'ERR_TRANSPORT' })
    assert.equal(broken.failure, undefined)
    // More than it has room for.
    broken.call('rtc_input', -1)
    assert.equal(broken.failure.code, 'ERR_TRANSPORT')
    await assert.rejects(opening, broken.failure)
    assert.equal(closed, 1)
    assert.throws(() => broken.certificate(), broken.failure)
    assert.throws(() => broken.dial(2, new Uint8Array(34), '192.0.2.1:4001'), broken.failure)
    assert.equal(link.ready, false)
    link.handle(check)
    link.send(Uint8Array.of(1))
    link.destroy()
    const next = new Stack(await Stack.load())
    assert.ok(next.dial(2, new Uint8Array(34), '192.0.2.1:4001') > 0)
  })
})
