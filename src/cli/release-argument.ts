/** `3`, `shop#3`, or a digest: `shop#3` names the project along with the number. */
export function wantedRelease(
  text: string,
  { project, reason }: { project?: string; reason?: string },
): { release: string; project?: string; reason?: string } {
  const [, named, number] = /^([^#]+)(#\d+)$/.exec(text) ?? []
  const whose = project ?? named
  return {
    release: number ?? text,
    ...(whose === undefined ? {} : { project: whose }),
    ...(reason === undefined ? {} : { reason }),
  }
}
