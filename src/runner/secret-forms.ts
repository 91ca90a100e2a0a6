/** The forms in which a secret may turn up in output: what the masker looks for. */

/** A shorter text would mask half of every log, and so is not looked for. */
export const shortestSecret = 4
/** Lines of a multi-line secret are looked for in encoded forms from this length on. */
const shortestEncodedLine = 8
/** `base64` breaks its output after so many characters. */
const base64LineLength = 76

/** All forms of one secret, plain ones first; empty if it is too short to be masked. */
export function formsOf(secret: string): Buffer[] {
  const whole = [secret, secret.trim()].filter(isLongEnough)
  const lines = secret.split(/\r?\n/).map((line) => line.trim())
  const several = lines.length > 1
  const plain = several ? [...whole, ...lines.filter(isLongEnough)] : whole
  const encoded = several ? [...whole, ...lines.filter((line) => line.length >= shortestEncodedLine)] : whole
  const texts = new Set([...plain, ...encoded.flatMap(encodedFormsOf)].filter(isLongEnough))
  return [...texts].map((text) => Buffer.from(text))
}

export function isMaskable(secret: string): boolean {
  return formsOf(secret).length > 0
}

function isLongEnough(text: string): boolean {
  return Buffer.byteLength(text) >= shortestSecret
}

function encodedFormsOf(text: string): string[] {
  return [...base64FormsOf(text), ...urlFormsOf(text), ...jsonFormsOf(text)]
}

/** What of the secret's base64 is the same whatever stands around it, for each of the three alignments. */
function base64FormsOf(text: string): string[] {
  const bytes = Buffer.from(text)
  const forms = [0, 1, 2].map((lead) => {
    const encoded = Buffer.concat([Buffer.alloc(lead), bytes]).toString('base64')
    const first = Math.ceil((lead * 8) / 6)
    const end = Math.floor(((lead + bytes.length) * 8) / 6)
    return encoded.slice(first, end)
  })
  const wrapped =
    bytes.toString('base64').match(new RegExp(`.{${String(shortestEncodedLine)},${String(base64LineLength)}}`, 'g')) ?? []
  const all = [...forms, ...wrapped]
  return [...all, ...all.map((form) => form.replaceAll('+', '-').replaceAll('/', '_'))]
}

function urlFormsOf(text: string): string[] {
  // A lone surrogate cannot be URL-encoded; in UTF-8 output it is U+FFFD as well.
  const wellFormed = Buffer.from(text).toString()
  const component = encodeURIComponent(wellFormed)
  const strict = component.replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
  const upper = [
    component,
    strict,
    encodeURI(wellFormed),
    component.replaceAll('%20', '+'),
    new URLSearchParams([['', wellFormed]]).toString().slice(1),
  ]
  return [...upper, ...upper.map((form) => form.replace(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase()))]
}

function jsonFormsOf(text: string): string[] {
  const escaped = JSON.stringify(text).slice(1, -1)
  const ascii = escaped.replace(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const forms = [escaped, ascii]
  return [
    ...forms,
    ...forms.map((form) => form.replaceAll('/', '\\/')),
    ...forms.map((form) => form.replace(/[<>&]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`)),
  ]
}
