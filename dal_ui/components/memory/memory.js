// Writes the values that the page passes in as cookies of this site, for a year.

const YEAR = 365 * 24 * 60 * 60; // seconds

export default function render({ data }) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  for (const [name, value] of Object.entries(data.values)) {
    const content = `${name}=${encodeURIComponent(value)}`;
    document.cookie = `${content}; path=/; max-age=${YEAR}; SameSite=Lax${secure}`;
  }
}
