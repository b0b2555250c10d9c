package testpki

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"iter"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// RevocationList signs a list of a CA with a P-256 key. Unlike x509.CreateRevocationList
// it needs no object per entry, and makes lists without a next update (zero). The reason
// is keyCompromise for all.
func (e *Entity) RevocationList(from, till time.Time, serials iter.Seq[*big.Int]) ([]byte, error) {
	algorithm := func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}) // ecdsa-with-SHA256
	}
	var b cryptobyte.Builder
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1) // version 2
		b.AddASN1(tag.SEQUENCE, algorithm)
		b.AddBytes(e.Cert.RawSubject)
		b.AddASN1UTCTime(from)
		if !till.IsZero() {
			b.AddASN1UTCTime(till)
		}
		if serials != nil {
			b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) { addEntries(b, from, serials) })
		}
	})
	tbs, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("make list: %w", err)
	}
	digest := sha256.Sum256(tbs)
	signature, err := e.Key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign list: %w", err)
	}
	var whole cryptobyte.Builder
	whole.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddASN1(tag.SEQUENCE, algorithm)
		b.AddASN1BitString(signature)
	})
	return whole.Bytes()
}

func addEntries(b *cryptobyte.Builder, at time.Time, serials iter.Seq[*big.Int]) {
	reason := []byte{0x30, 12, 0x30, 10, 6, 3, 0x55, 29, 21, 4, 3, 10, 1, 1} // keyCompromise
	for serial := range serials {
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1BigInt(serial)
			b.AddASN1UTCTime(at)
			b.AddBytes(reason)
		})
	}
}
