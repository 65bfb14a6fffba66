// The demo as its visitors meet it: pages in Chromium, the native server, a peer in Node.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startServer } from '../../scripts/demo-server.mjs'
import { connected, launch, line, nameOf, openPage, peerOf, say, servePage } from './support/browser.mjs'
import { frame, nodePeer, roomOf } from './support/peers.mjs'

const timeout = 300_000

/** A running demo: the server, which can be started anew, the page's address, a browser. */
async function demo(t) {
  const folder = await mkdtemp(join(tmpdir(), 'polypeer-demo-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const start = () => startServer(join(folder, 'key'))
  const running = { server: await start(), start }
  t.after(() => running.server.stop('SIGKILL'))
  running.url = await servePage(t, () => ({ addresses: running.server.addresses }))
  running.context = await (await launch(t)).newContext()
  return running
}

test('pages and a peer in Node talk in one room', { timeout }, async (t) => {
  const { server, url, context } = await demo(t)
  const troubles = []
  const first = await openPage(context, url, troubles)
  await connected(first)
  const second = await openPage(context, url, troubles)
  await connected(second)

  await t.test('two pages of one browser are two peers', async () => {
    assert.notEqual(await peerOf(first), await peerOf(second))
    assert.match(await peerOf(first), /^12D3KooW/)
  })

  await t.test('a line typed in one shows in the other, with the name of its sender', async () => {
    await say(first, 'Hello from the first page')
    const heard = line(second, 'Hello from the first page')
    await heard.waitFor()
    assert.equal(await heard.locator('.name').textContent(), await nameOf(first))
    assert.equal(await heard.locator('.head code').getAttribute('title'), await peerOf(first))
    assert.equal(await heard.evaluate((item) => item.classList.contains('own')), false)
    const own = line(first, 'Hello from the first page')
    assert.equal(await own.evaluate((item) => item.classList.contains('own')), true)
    assert.match(await own.locator('time').getAttribute('datetime'), /^\d{4}-.*Z$/)
    assert.equal(await first.getByLabel('Your message').inputValue(), '')
  })

  await t.test('text stays text', async () => {
    const text = '<img src=x onerror=alert(1)> שלום 👋\nsecond line'
    await first.getByLabel('Your message').fill(text)
    await first.getByRole('button', { name: 'Send' }).click()
    await line(second, 'second line').waitFor()
    assert.equal(await line(second, 'second line').locator('.text').textContent(), text)
  })

  await t.test('a peer in Node hears and answers', async (t) => {
    const peer = await nodePeer(t, server.addresses)
    assert.equal((await peer.hear()).from, server.peer)
    await say(second, 'Is anybody out of the browser?')
    const heard = await peer.hear()
    assert.equal(heard.text, 'Is anybody out of the browser?')
    assert.equal(heard.from, await peerOf(second))
    assert.equal(heard.members, 3)
    await peer.say('I am, in Node')
    for (const page of [first, second]) {
      await line(page, 'I am, in Node').waitFor()
      const sender = line(page, 'I am, in Node').locator('.head code')
      assert.equal(await sender.getAttribute('title'), peer.peer)
      assert.equal(await page.locator('#members').textContent(), '3 are here')
    }
  })

  await t.test('pages know how many are there as they come and go', async () => {
    const third = await openPage(context, url, troubles)
    await connected(third)
    for (const page of [first, second]) await page.getByText('3 are here').waitFor()
    await third.close()
    for (const page of [first, second]) await page.getByText('2 are here').waitFor()
  })

  await t.test('the page shows its server and the round trip', async () => {
    await first.locator('#trip', { hasText: ' ms' }).waitFor()
    assert.match(await first.locator('#server-agent').textContent(), /polypeer/)
    assert.equal(await first.locator('#server-id').getAttribute('title'), server.peer)
  })

  await t.test('a page that is loaded again is the same peer', async () => {
    const before = await peerOf(second)
    await second.reload()
    await connected(second)
    assert.equal(await peerOf(second), before)
  })

  assert.deepEqual(troubles, [])
})

test('a page comes back by itself when the server does', { timeout }, async (t) => {
  const running = await demo(t)
  const page = await openPage(running.context, running.url)
  await connected(page)
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    await running.server.stop(signal)
    await page.getByRole('alert').getByText('The server cannot be reached').waitFor()
    assert.match(await page.getByRole('alert').textContent(), /npm start/)
    await page.getByRole('timer').waitFor()
    await page.getByLabel('Your message').fill(`Written while ${signal} was felt`)
    assert.equal(await page.getByRole('button', { name: 'Send' }).isDisabled(), true)

    running.server = await running.start()
    await connected(page)
    await page.getByRole('alert').waitFor({ state: 'hidden' })
    const peer = await nodePeer(t, running.server.addresses)
    await peer.hear()
    await page.getByRole('button', { name: 'Send' }).click()
    assert.equal((await peer.hear()).text, `Written while ${signal} was felt`)
  }
})

test('addresses that lead nowhere are explained, another can be given', { timeout }, async (t) => {
  const { server, url, context } = await demo(t)
  const right = server.addresses.find((address) => address.includes('/ws/'))
  const other = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'
  const page = await openPage(context, `${url}?server=/ip4/127.0.0.1/tpc/1/ws`)
  const alert = page.getByRole('alert')
  await alert.getByText('This address cannot be read').waitFor()

  for (const [address, title] of [
    [
      server.addresses.find((address) => !address.includes('/ws/')),
      'A page cannot dial this kind of address',
    ],
    [right.replace(server.peer, other), 'Somebody else answers at this address'],
    [await roomOf(t, (stream) => stream.abort()), 'The server showed this page the door'],
  ]) {
    await page.getByLabel('Its WebSocket address').fill(address)
    await page.getByRole('button', { name: 'Connect', exact: true }).click()
    await alert.getByText(title).waitFor()
  }
  await page.getByLabel('Its WebSocket address').fill(right)
  await page.getByRole('button', { name: 'Connect', exact: true }).click()
  await connected(page)
  assert.equal(new URL(page.url()).searchParams.get('server'), right)
  await page.getByRole('button', { name: 'Back to the usual one' }).click()
  await connected(page)
  assert.equal(new URL(page.url()).search, '')
})

test('a server that says too much fills neither the page nor its memory', { timeout }, async (t) => {
  const url = await servePage(t, () => ({ addresses: [] }))
  const context = await (await launch(t)).newContext()
  const flood = await roomOf(t, async (stream, node) => {
    const message = (text, from) => frame({ from, text, at: Date.now(), members: 2 })
    await stream.write(message('Welcome', node.peerId))
    for (let count = 1; count <= 600; count++) await stream.write(message(`Line ${count}.`, 'somebody'))
    await stream.write(Buffer.from([0x81, 0x40]))
  })
  const page = await openPage(context, `${url}?server=${flood}`)
  await line(page, 'Line 600.').first().waitFor()
  assert.ok((await page.locator('#log > li').count()) <= 500)
  await page.getByRole('alert').waitFor()
  assert.match(await page.locator('#trouble-detail').textContent(), /longer than 8192 bytes/)
})
