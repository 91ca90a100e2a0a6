/** What to look for: a text in every form in which it may lie somewhere. Written out again, for the masker is among what is checked. */

export interface Needle {
  /** What a find is told as: never the text itself. */
  name: string
  bytes: Buffer
}

export function needlesOf(canary: string, name: string): Needle[] {
  const json = JSON.stringify(canary).slice(1, -1)
  const forms: Record<string, string[]> = {
    plain: [canary],
    base64: base64Of(canary),
    'URL-encoded': [encodeURIComponent(canary), encodeURIComponent(canary).replaceAll('%20', '+')],
    'JSON-escaped': [json, JSON.stringify(json).slice(1, -1)],
    hex: [Buffer.from(canary).toString('hex')],
  }
  const seen = new Set<string>()
  return Object.entries(forms).flatMap(([form, texts]) =>
    texts.flatMap((text) => {
      if (seen.has(text)) return []
      seen.add(text)
      return [{ name: `${name}, ${form}`, bytes: Buffer.from(text) }]
    }),
  )
}

/** What is the same wherever it begins: three alignments, in both alphabets. */
function base64Of(text: string): string[] {
  const bytes = Buffer.from(text)
  const aligned = [0, 1, 2].map((lead) => {
    const encoded = Buffer.concat([Buffer.alloc(lead), bytes]).toString('base64')
    const from = Math.ceil((lead * 8) / 6)
    return encoded.slice(from, Math.floor(((lead + bytes.length) * 8) / 6))
  })
  return aligned.flatMap((form) => [form, form.replaceAll('+', '-').replaceAll('/', '_')])
}

/** Names of what is found. */
export function findIn(bytes: Buffer, needles: readonly Needle[]): string[] {
  return needles.filter((needle) => bytes.includes(needle.bytes)).map(({ name }) => name)
}
