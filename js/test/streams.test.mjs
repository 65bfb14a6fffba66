// Two nodes of this package over real sockets.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createNode, ProtocolNotSupportedError, StreamResetError } from 'polypeer'
import { memoryBytes } from '../dist/load.js'
import {
  ECHO,
  events,
  HALF_CLOSE,
  kept,
  MIB,
  pair,
  RESET,
  random,
  readAll,
  server,
  sha256,
  transports,
  until,
} from './support.mjs'

const options = { timeout: 60_000 }

for (const [name, listen] of Object.entries(transports)) {
  describe(name, options, () => {
    it('connects two peers that know each other', async (t) => {
      const { here, there, connection } = await pair(t, listen)
      assert.equal(connection.peer, there.peerId)
      assert.equal(connection.direction, 'outbound')
      assert.equal(connection.status, 'open')
      assert.deepEqual(here.peers, [there.peerId])
      await until(() => there.peers.length === 1)
      assert.deepEqual(there.peers, [here.peerId])
      assert.equal(there.connections[0]?.direction, 'inbound')
    })

    it('echoes 16 MiB', async (t) => {
      const { here, there } = await pair(t, listen)
      const stream = await here.dial(there.peerId, ECHO)
      assert.equal(stream.protocol, ECHO)
      const sent = random(16 * MIB)
      const [received] = await Promise.all([
        readAll(stream),
        (async () => {
          for (let at = 0; at < sent.length; at += 64 * 1024)
            await stream.write(sent.subarray(at, at + 64 * 1024))
          await stream.closeWrite()
        })(),
      ])
      assert.equal(sha256(received), sha256(sent))
    })

    it('takes one big write and web streams', async (t) => {
      const { here, there } = await pair(t, listen)
      const stream = await here.dial(there.peerId, ECHO)
      const sent = random(3 * MIB + 7)
      const source = new ReadableStream({
        start(controller) {
          controller.enqueue(sent)
          controller.close()
        },
      })
      const [received] = await Promise.all([readAll(stream.readable), source.pipeTo(stream.writable)])
      assert.equal(sha256(received), sha256(sent))
    })

    it('closes each half on its own', async (t) => {
      const { here, there } = await pair(t, listen)
      const stream = await here.dial(there.peerId, HALF_CLOSE)
      const sent = random(MIB)
      await stream.write(sent)
      await stream.closeWrite()
      await assert.rejects(stream.write(sent), { name: 'StreamClosedError', code: 'ERR_STREAM_CLOSED' })
      assert.equal(Buffer.from(await readAll(stream)).toString('hex'), sha256(sent))
      assert.equal(stream.status, 'closed')
      assert.deepEqual(stream.connection.streams, [])
    })

    it('passes a reset on', async (t) => {
      const { here, there } = await pair(t, listen)
      const stream = await here.dial(there.peerId, RESET)
      await stream.write(random(1))
      await assert.rejects(readAll(stream), (error) => {
        assert.ok(error instanceof StreamResetError)
        assert.equal(error.code, 'ERR_STREAM_RESET')
        return true
      })
      assert.equal(stream.status, 'reset')
      await assert.rejects(stream.write(random(1)), StreamResetError)
    })

    it('slows a sender down by a slow reader, and nobody else', async (t) => {
      const { here, there } = await pair(t, listen)
      let arrived
      const slow = new Promise((resolve) => {
        arrived = resolve
      })
      there.handle('/slow', arrived)
      const sender = await here.dial(there.peerId, '/slow')
      let written = 0
      const writing = (async () => {
        for (; written < 64 * MIB; written += MIB) await sender.write(new Uint8Array(MIB))
      })()
      writing.catch(() => {})
      const reader = await slow
      // A whole echo on the same connection passes while the other stream stands.
      const echo = await here.dial(there.peerId, ECHO)
      const sent = random(2 * MIB)
      const [received] = await Promise.all([readAll(echo), echo.write(sent).then(() => echo.closeWrite())])
      assert.equal(sha256(received), sha256(sent))
      assert.ok(written <= 20 * MIB, `${written / MIB} MiB are under way to a reader that reads nothing`)
      let total = 0
      const reading = (async () => {
        for await (const bytes of reader) total += bytes.length
      })()
      await writing
      await sender.closeWrite()
      await reading
      assert.equal(total, 64 * MIB)
    })

    it('refuses a protocol that nobody handles', async (t) => {
      const { here, there } = await pair(t, listen)
      await assert.rejects(here.dial(there.peerId, ['/nobody/1', '/nobody/2']), (error) => {
        assert.ok(error instanceof ProtocolNotSupportedError)
        assert.equal(error.code, 'ERR_PROTOCOL_NOT_SUPPORTED')
        assert.deepEqual(error.protocols, ['/nobody/1', '/nobody/2'])
        return true
      })
      const stream = await here.dial(there.peerId, ['/nobody/1', ECHO])
      assert.equal(stream.protocol, ECHO)
      await stream.close()
      there.unhandle(ECHO)
      await assert.rejects(
        here.dial(there.peerId, ECHO).then(async (stream) => stream.read()),
        ProtocolNotSupportedError,
      )
    })

    it('ends streams with their connection, after what came', async (t) => {
      const { here, there } = await pair(t, listen)
      there.handle('/last-words', async (stream) => {
        await stream.write(random(100_000))
        await stream.close()
        await stream.connection.close()
      })
      const open = await here.dial(there.peerId, ECHO)
      const closed = events(here, 'connection:close')
      const stream = await here.dial(there.peerId, '/last-words')
      await closed
      assert.equal((await readAll(stream)).length, 100_000)
      await assert.rejects(open.read(), { name: 'ConnectionClosedError', code: 'ERR_CONNECTION_CLOSED' })
      await assert.rejects(open.connection.openStream(ECHO), { code: 'ERR_CONNECTION_CLOSED' })
    })

    it('pings', async (t) => {
      const { here, there } = await pair(t, listen)
      const ms = await here.ping(there.peerId, { signal: AbortSignal.timeout(5_000) })
      assert.ok(ms > 0 && ms < 5_000)
    })
  })
}

describe('streams', options, () => {
  it('reject with the reason of their signal', async (t) => {
    const { here, there } = await pair(t)
    there.handle('/silent', () => {})
    const stream = await here.dial(there.peerId, '/silent')
    const reason = new Error('enough')
    const abort = new AbortController()
    const reading = stream.read({ signal: abort.signal })
    abort.abort(reason)
    await assert.rejects(reading, reason)
    await assert.rejects(stream.read({ signal: abort.signal }), reason)
    assert.equal(stream.status, 'open')

    const full = new AbortController()
    const writing = stream.write(new Uint8Array(64 * MIB), { signal: full.signal })
    full.abort(reason)
    await assert.rejects(writing, reason)
    assert.equal(stream.status, 'reset')
  })

  it('abort with a reason', async (t) => {
    const { here, there } = await pair(t)
    const stream = await here.dial(there.peerId, ECHO)
    const reason = new TypeError('changed my mind')
    const reading = stream.read()
    stream.abort(reason)
    await assert.rejects(reading, reason)
    await assert.rejects(stream.write(random(1)), reason)
  })

  it('refuse two reads at a time', async (t) => {
    const { here, there } = await pair(t)
    const stream = await here.dial(there.peerId, ECHO)
    const first = stream.read()
    await assert.rejects(stream.read(), { code: 'ERR_INVALID_ARGUMENT' })
    await stream.write(random(3))
    assert.equal((await first)?.length, 3)
  })

  it('keep the order of writes that nobody waits for', async (t) => {
    const { here, there } = await pair(t)
    const stream = await here.dial(there.peerId, HALF_CLOSE)
    const parts = Array.from({ length: 50 }, () => random(100_000))
    for (const part of parts) void stream.write(part)
    await stream.closeWrite()
    assert.equal(Buffer.from(await readAll(stream)).toString('hex'), sha256(Buffer.concat(parts)))
  })

  it('report what a handler throws', async (t) => {
    const { here, there } = await pair(t)
    const error = new Error('in the handler')
    there.handle('/throws', () => {
      throw error
    })
    const reported = events(there, 'handler:error')
    await assert.rejects(
      here.dial(there.peerId, '/throws').then((stream) => stream.read()),
      StreamResetError,
    )
    assert.equal((await reported)[0].error, error)
  })

  it('leave nothing behind after 10,000 of them', async (t) => {
    const { there, connection } = await pair(t)
    const cycle = async () => {
      const stream = await connection.openStream(ECHO)
      await stream.write(new Uint8Array(10))
      await stream.closeWrite()
      await readAll(stream)
    }
    const batch = async (count) => {
      for (let left = count; left > 0; left -= 50) await Promise.all(Array.from({ length: 50 }, cycle))
    }
    await batch(1000)
    const before = await memoryBytes()
    await batch(9000)
    assert.deepEqual(connection.streams, [])
    await until(() => there.connections[0].streams.length === 0)
    assert.equal(await memoryBytes(), before, 'the module grew')
  })
})

describe('connections', options, () => {
  it('leave nothing behind after 1,000 of them', async (t) => {
    const there = await kept(t, server([transports.TCP]))
    const here = await kept(t, createNode())
    const cycle = async (count) => {
      for (; count > 0; count--) await (await here.dial(there.addresses)).close()
    }
    await cycle(100)
    const before = await memoryBytes()
    await cycle(900)
    await until(() => there.connections.length === 0)
    assert.equal(await memoryBytes(), before, 'the module grew')
  })
})
