// A name's colour and letters: the same on every page and every day.

export function hueOf(name: string): number {
  let h = 2166136261
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 16777619)
  return ((h >>> 0) * 137.508) % 360
}

export function lettersOf(name: string): string {
  const parts = name.split(/[^\p{L}\p{N}]+/u).filter(Boolean)
  if (parts.length === 0) return '?'
  const first = Array.from(parts[0]!)
  return (parts.length > 1 ? first[0]! + Array.from(parts[1]!)[0]! : first.slice(0, 2).join('')).toUpperCase()
}
