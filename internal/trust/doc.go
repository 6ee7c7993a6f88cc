// Package trust owns whose statements are believed, and about what: the public
// keys that are trusted in an environment, a project or everywhere, and the
// verification of what is attached to a release under them. A key that is
// revoked takes with it what only it signed.
//
// It must not know which statements an environment asks for (package gate
// does), nor how a signature is made (package signing does).
//
// Start reading at service.go, then statements.go and revoke.go.
package trust
