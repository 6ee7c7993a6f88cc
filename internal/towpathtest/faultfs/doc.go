// Package faultfs is a file system in memory that keeps what a real one
// promises and nothing more: content is durable once its file was synced, a
// name once its directory was. On a crash each thing that was not synced is
// kept, lost or torn at random, so that a test which passes for many seeds has
// seen the orders in which a disk may write. It can fail or crash at any
// operation.
//
// It implements blob.FS. Start reading at fs.go (the model) and crash.go.
package faultfs
