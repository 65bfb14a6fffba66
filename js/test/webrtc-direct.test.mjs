// WebRTC direct between nodes in Node.js.
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import {
  createNode,
  DialError,
  fileKeyStore,
  generateCertificate,
  InvalidArgumentError,
  KeyError,
  ListenError,
  TimeoutError,
  TransportError,
  UnsupportedError,
  WrongCertificateError,
} from 'polypeer'
import {
  between,
  ECHO,
  events,
  kept,
  MIB,
  pair,
  portOf,
  random,
  readAll,
  server,
  sha256,
  turns,
  until,
  withPort,
} from './support.mjs'

const DIRECT = '/ip4/127.0.0.1/udp/0/webrtc-direct'

const certhash = (address) => /\/certhash\/([^/]+)/.exec(address)[1]

/** Why the only attempt of a dial failed. */
async function failure(dialing) {
  const error = await dialing.then(
    () => assert.fail('it is dialed'),
    (error) => error,
  )
  assert.ok(error instanceof DialError, error)
  assert.equal(error.attempts.length, 1, error.message)
  return error.attempts[0].error
}

async function echo(connection, bytes) {
  const stream = await connection.openStream(ECHO)
  const back = readAll(stream)
  await stream.write(bytes)
  await stream.closeWrite()
  return back
}

describe('WebRTC direct', { timeout: 240_000 }, () => {
  for (const [family, listen] of [
    ['IPv4', DIRECT],
    ['IPv6', '/ip6/::1/udp/0/webrtc-direct'],
  ]) {
    it(`connects over ${family}, and both know each other`, async (t) => {
      const there = await kept(t, server([listen]))
      const arrived = events(there, 'connection:open')
      const here = await kept(t, createNode())
      const [address] = there.addresses
      assert.match(address, /^\/ip\d\/[^/]+\/udp\/\d+\/webrtc-direct\/certhash\/uEi[\w-]+\/p2p\//)
      const connection = await here.dial(address)
      assert.equal(connection.peer, there.peerId)
      assert.ok((await connection.ping()) >= 0)
      assert.equal(String(await echo(connection, Buffer.from('hello'))), 'hello')
      const [inbound] = await arrived
      assert.equal(inbound.peer, here.peerId)
      assert.match(inbound.remoteAddress, /\/udp\/\d+\/webrtc-direct/)
    })
  }

  it('returns 16 MiB as they went', async (t) => {
    const { connection } = await pair(t, DIRECT)
    const bytes = random(16 * MIB)
    assert.equal(sha256(await echo(connection, bytes)), sha256(bytes))
  })

  it('holds a writer up while nobody reads, and loses nothing', async (t) => {
    const { here, there, connection } = await pair(t, DIRECT)
    const bytes = random(16 * MIB)
    let go
    const going = new Promise((resolve) => {
      go = resolve
    })
    let got
    there.handle('/slow/1.0.0', async (stream) => {
      await going
      got = sha256(await readAll(stream))
      await stream.close()
    })
    const stream = await connection.openStream('/slow/1.0.0')
    let written = 0
    const writing = (async () => {
      for (let at = 0; at < bytes.length; at += MIB) {
        await stream.write(bytes.subarray(at, at + MIB))
        written += MIB
      }
      await stream.closeWrite()
    })()
    // Until nothing moves any more; another stream goes on meanwhile.
    for (let before = -1; before !== written; ) {
      before = written
      for (let turn = 0; turn < 5; turn++) assert.equal((await echo(connection, random(1000))).length, 1000)
    }
    assert.ok(written < bytes.length, `${written} bytes were taken`)
    go()
    await writing
    await readAll(stream)
    assert.equal(got, sha256(bytes))
    assert.equal(here.connections.length, 1)
  })

  it('opens streams one after another and many at once', async (t) => {
    const { connection } = await pair(t, DIRECT)
    for (let count = 0; count < 600; count++) {
      assert.equal((await echo(connection, Uint8Array.of(count & 255)))[0], count & 255)
    }
    const many = await Promise.all(
      Array.from({ length: 200 }, (_, count) => echo(connection, random(count * 50))),
    )
    assert.deepEqual(
      many.map((back) => back.length),
      Array.from({ length: 200 }, (_, count) => count * 50),
    )
  })

  it('takes many peers on one port', async (t) => {
    const there = await kept(t, server([DIRECT]))
    const peers = await Promise.all(Array.from({ length: 20 }, () => kept(t, createNode())))
    const opened = await Promise.all(peers.map((peer) => peer.dial(there.addresses)))
    for (const connection of opened) assert.equal((await echo(connection, random(5000))).length, 5000)
    assert.equal(there.connections.length, 20)
  })

  it('names the certificate that is another one than the address says', async (t) => {
    const [there, other] = [await kept(t, server([DIRECT])), await kept(t, server([DIRECT]))]
    const here = await kept(t, createNode())
    const [address] = there.addresses
    const wrong = address.replace(certhash(address), certhash(other.addresses[0]))
    const error = await failure(here.dial(wrong))
    assert.ok(error instanceof WrongCertificateError, error)
    assert.equal(error.code, 'ERR_WRONG_CERTIFICATE')
    // And a peer that is another one.
    const { code } = await failure(here.dial(address.replace(there.peerId, other.peerId)))
    assert.equal(code, 'ERR_WRONG_PEER')
    const bare = address.replace(/\/certhash\/[^/]+/, '')
    assert.ok((await failure(here.dial(bare))) instanceof UnsupportedError)
  })

  it('says when nobody is there, and when nobody answers', async (t) => {
    const there = await server([DIRECT])
    const [address] = there.addresses
    await there.close()
    const here = await kept(t, createNode())
    assert.ok((await failure(here.dial(address))) instanceof TransportError)
    const silent = await between(t, 1, () => false)
    const signal = AbortSignal.timeout(100)
    await assert.rejects(here.dial(withPort(address, silent), { signal }), { name: 'TimeoutError' })
    const patient = await failure(here.dial(withPort(address, silent)))
    assert.ok(patient instanceof TimeoutError, patient)
  })

  it('falls back to version 1 where nobody answers version 2', async (t) => {
    const there = await kept(t, server([DIRECT]))
    const here = await kept(t, createNode())
    const [address] = there.addresses
    let refused = 0
    const port = await between(t, portOf(address), (datagram) => {
      const second = datagram.includes('libp2p+webrtc+v2/')
      if (second) refused++
      return !second
    })
    const connection = await here.dial(withPort(address, port))
    assert.equal(connection.peer, there.peerId)
    assert.equal((await echo(connection, random(100_000))).length, 100_000)
    assert.ok(refused > 0)
  })

  it('tells the other side when it closes, after the last byte', async (t) => {
    const { here, there, connection } = await pair(t, DIRECT)
    let got
    const received = new Promise((resolve) => {
      there.handle('/last/1.0.0', async (stream) => {
        got = (await readAll(stream)).length
        resolve()
      })
    })
    const closed = events(there, 'connection:close')
    const stream = await connection.openStream('/last/1.0.0')
    await stream.write(random(3 * MIB))
    await stream.closeWrite()
    await here.close()
    await received
    await closed
    assert.equal(got, 3 * MIB)
    assert.equal(there.connections.length, 0)
  })

  it('is listened on where the system lets it, and as nothing else', async (t) => {
    const there = await kept(t, server([DIRECT]))
    const node = await kept(t, createNode())
    const [address] = there.addresses
    await assert.rejects(node.listen(`/ip4/127.0.0.1/udp/${portOf(address)}/webrtc-direct`), ListenError)
    await assert.rejects(node.listen(`${DIRECT}/certhash/${certhash(address)}`), UnsupportedError)
    await assert.rejects(node.listen('/webrtc'), UnsupportedError)
    const without = await kept(t, createNode({ webrtc: false }))
    await assert.rejects(without.listen(DIRECT), UnsupportedError)
    assert.ok((await failure(without.dial(address))) instanceof UnsupportedError)
    await node.listen('/ip4/0.0.0.0/udp/0/webrtc-direct')
    assert.ok(node.addresses.some((own) => own.startsWith('/ip4/127.0.0.1/udp/')))
  })

  it('keeps its certificate, and with it its address', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'polypeer-'))
    t.after(() => rm(folder, { recursive: true }))
    const path = join(folder, 'webrtc.pem')
    const start = async (webrtc) => {
      const node = await createNode({ listen: [DIRECT, '/ip6/::1/udp/0/webrtc-direct'], webrtc })
      const hashes = node.addresses.map(certhash)
      await node.close()
      assert.equal(hashes[0], hashes[1])
      return hashes[0]
    }
    const certificateStore = fileKeyStore(path)
    const first = await start({ certificateStore })
    assert.equal(await start({ certificateStore }), first)
    assert.match(
      await readFile(path, 'utf8'),
      /^-----BEGIN CERTIFICATE-----[\s\S]+-----END PRIVATE KEY-----\n$/,
    )
    const certificate = await generateCertificate()
    const other = await start({ certificate })
    assert.equal(await start({ certificate }), other)
    assert.equal(new Set([first, other, await start(undefined)]).size, 3)
    await assert.rejects(createNode({ webrtc: { certificate, certificateStore } }), InvalidArgumentError)
    await writeFile(path, 'something else')
    await assert.rejects(start({ certificateStore }), KeyError)
    assert.equal(await readFile(path, 'utf8'), 'something else')
  })

  it('lets the program end', async (t) => {
    const { here, there } = await pair(t, DIRECT)
    await Promise.all([here.close(), there.close()])
    await until(() => !process.getActiveResourcesInfo().includes('UDPSocketWrap'))
    await turns(0)
  })
})
