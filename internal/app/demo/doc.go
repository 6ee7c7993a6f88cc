// Package demo shows the whole of Towpath in a minute, offline, with the
// sample project: real releases, gates, processes and a real ledger. It stands
// on package dev and speaks to it through the public API only. Start reading
// at Run; story.go is what it tells.
package demo
