/** A file name as one word of a POSIX shell, that no program takes for an option. */
export function shellWord(path: string): string {
  const safe = path.startsWith('-') ? `./${path}` : path
  return /^[A-Za-z0-9_./@%+=:,-]+$/.test(safe) ? safe : `'${safe.replaceAll("'", `'\\''`)}'`
}
