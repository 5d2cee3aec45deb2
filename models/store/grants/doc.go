// Package grants keeps what OAuth clients were granted: clients that registered themselves, invite codes, grants, and their
// codes and tokens. Of a secret it keeps the SHA-256 alone. A code or a refresh token is exchanged once: whoever shows it
// again ends the grant with all its tokens, because one of the two who had it was a thief. A refresh token may be shown
// again for a few seconds, as answers are lost. Registrations that nobody uses are removed.
package grants
