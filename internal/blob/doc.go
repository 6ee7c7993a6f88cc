// Package blob owns content-addressed bytes: what is put under a digest is
// whole, durable once acknowledged, never changed, and checked again on every
// read. It must not know what the bytes mean: releases, states and plans keep
// their own records of which digests they need.
//
// Start reading at store.go (the contract), then disk.go and put.go (the order
// of writes that makes an acknowledged blob survive a crash) and verify.go.
// s3.go and s3put.go keep the same contract in an object store.
package blob
