// Package git owns what Towpath reads from and writes to git repositories:
// commits and their history, the exact content of a commit's tree, and the
// projection of the database's truth onto refs. It drives the git program
// (2.39 or newer) with an environment of its own, so that no user's
// configuration, hook, filter, attribute or replacement object changes what it
// reads or writes, and no network is reached. Only [LookUp] asks another
// repository, with the user's configuration, because their credentials are there.
//
// It must not know what a promotion, an environment's rules or a ledger are:
// callers say which commit a branch should hold and which commits they have
// recorded, and journal a [Plan] before they apply it. Nothing here ever moves
// a branch backwards or away from a commit that it has.
//
// Start reading at repository.go (open), then advance.go (what a branch's move
// would be), apply.go (the move) and export.go (a commit's files).
package git
