// Package access owns the one answer to "may this actor do that?": a table of
// roles and verbs, the scope of grants, and the form of bearer tokens. It is
// pure: no I/O, no clock; it does not know how an actor was authenticated nor
// where grants and hashes are stored.
//
// Everything that the table does not allow is refused. Use cases call [Check];
// handlers and SQL do not.
//
// Start reading at verb.go (the table), then check.go and token.go.
package access
