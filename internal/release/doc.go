// Package release takes releases in and reads them: it checks what a builder
// publishes against its digests, gives version labels that never move, compares
// releases and revokes them. It must not know how releases are built, promoted
// or run. Start reading at Service.Publish.
package release
