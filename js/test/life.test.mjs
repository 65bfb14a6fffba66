// The life of a page, with a page of paper.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { followPage } from '../dist/life.js'

it('tells of sleeping, waking and the network, until it is told to stop', (t) => {
  const page = new EventTarget()
  const document = Object.assign(new EventTarget(), { hidden: false })
  let now = 1000
  t.mock.method(performance, 'now', () => now)
  Object.assign(globalThis, { document, addEventListener: page.addEventListener.bind(page) })
  t.after(() => {
    delete globalThis.document
    delete globalThis.addEventListener
  })
  const told = []
  const note = (what) => () => told.push(what)
  const stop = followPage({ resumed: note('resumed'), offline: note('offline'), online: note('online') })
  const expect = (...expected) => assert.deepEqual(told.splice(0), expected)
  const show = (hidden) => {
    document.hidden = hidden
    document.dispatchEvent(new Event('visibilitychange'))
  }

  page.dispatchEvent(new Event('offline'))
  page.dispatchEvent(new Event('online'))
  expect('offline', 'online')
  document.dispatchEvent(new Event('resume'))
  expect('resumed')
  page.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: false }))
  expect()
  page.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }))
  expect('resumed')

  show(true)
  now += 1_000
  show(false)
  expect() // a glance at another tab
  show(true)
  now += 60_000
  show(false)
  expect('resumed')

  stop()
  document.dispatchEvent(new Event('resume'))
  page.dispatchEvent(new Event('online'))
  expect()
})
