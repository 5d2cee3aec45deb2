package models

// Principal is who calls: the owner of the credential, and the live connection the call came over.
type Principal struct {
	Name    string
	Session string // a WebSocket or stdio process; empty where a call stands alone
}

// SharedPrincipal is the name of all callers that hold the one shared key, or need none.
const SharedPrincipal = "shared"
