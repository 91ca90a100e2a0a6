import { BelayError } from '../../domain/errors.ts'

const schemes = ['https:', 'http:', 'ssh:', 'file:']

/** Checks that Git is asked for nothing but a repository at a URL. Throws `refused`. */
export function checkRepositoryUrl(url: string): void {
  const scheme = URL.canParse(url) ? new URL(url).protocol : undefined
  if (scheme !== undefined && schemes.includes(scheme) && !url.includes('\0') && !url.includes('\n')) return
  throw new BelayError({
    code: 'refused',
    message: 'the repository is not named by an https, http, ssh or file URL',
    hint: 'Write it like https://git.example/acme/shop.git or file:///srv/shop.git.',
  })
}

/** The URL as it may be shown: without what stands before the @. */
export function showUrl(url: string): string {
  const shown = new URL(url)
  shown.username = ''
  shown.password = ''
  return shown.href
}

/** Takes the URL's credentials out of what Git printed. */
export function hideCredentials(text: string, url: string): string {
  const { username, password } = new URL(url)
  const secrets = [password, decode(password), username === 'git' ? '' : username].filter((secret) => secret !== '')
  return secrets.reduce((shown, secret) => shown.replaceAll(secret, '***'), text.replaceAll(url, showUrl(url)))
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // Not percent-encoded after all: the plain form is all there is.
    return text
  }
}
