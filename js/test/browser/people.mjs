// Pages with nodes that stay, whose functions (rtc.mjs) are called by name.

/** `{ page, person }`; `before` runs in the page before its script does. */
export async function openPerson(site, before) {
  const page = await site.open('rtc', before)
  const call = ([name, args]) => globalThis.rtc[name](...args)
  const person = new Proxy(
    {},
    { get: (_, name) => (name === 'then' ? undefined : (...args) => page.evaluate(call, [name, args])) },
  )
  return { page, person }
}
