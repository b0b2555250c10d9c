package management

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/zerotouch-dps/dps"
)

const (
	adminTokenSetting = "admin-token"
	adminTokenSize    = 32 // bytes, random
	// adminTokenPrefix lets scanners for leaked secrets know a token, and keeps it from
	// beginning with a dash, which command lines take for a flag.
	adminTokenPrefix = "dps_"
)

// LooksLikeAdminToken tells the admin token from those of an identity provider, whose
// three parts are parted by dots.
func LooksLikeAdminToken(token string) bool { return strings.Count(token, ".") != 2 }

// HasAdminToken tells whether there is one already.
func (s *Service) HasAdminToken(ctx context.Context) (bool, error) {
	digest, err := s.d.Deployment.Setting(ctx, adminTokenSetting)
	return len(digest) > 0, err
}

// EnsureAdminToken makes the admin token at the first start and returns its text; of
// an existing one only the hash is known, and created is false. Of several replicas
// that start at once, one creates it.
func (s *Service) EnsureAdminToken(ctx context.Context) (token string, created bool, err error) {
	token, digest, err := s.newToken()
	if err != nil {
		return "", false, err
	}
	created, err = s.d.Deployment.PutSetting(ctx, adminTokenSetting, digest, true)
	if err != nil || !created {
		return "", false, err
	}
	// In a commit of its own: of replicas that start at once only one has created it.
	return token, true, s.audit(ctx, Caller{Actor: "system"}, entry{action: "token.create", subject: adminTokenSetting})
}

// ResetAdminToken replaces the admin token; the former is refused at once.
func (s *Service) ResetAdminToken(ctx context.Context) (token string, err error) {
	token, digest, err := s.newToken()
	if err != nil {
		return "", err
	}
	ctx = s.audited(ctx, Caller{Actor: "system"}, entry{action: "token.reset", subject: adminTokenSetting})
	if _, err := s.d.Deployment.PutSetting(ctx, adminTokenSetting, digest, false); err != nil {
		return "", err
	}
	return token, nil
}

// VerifyAdminToken returns the caller that a token makes. The stored hash is read each
// time, one small read, so that a reset on any replica counts at once. Errors:
// [dps.Unauthorized].
func (s *Service) VerifyAdminToken(ctx context.Context, token, trackingID string) (Caller, error) {
	stored, err := s.d.Deployment.Setting(ctx, adminTokenSetting)
	if err != nil {
		return Caller{}, err
	}
	digest := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(stored, digest[:]) != 1 {
		return Caller{}, dps.Errorf(dps.Unauthorized, "the bearer token is not the admin token")
	}
	return Operator(trackingID), nil
}

func (s *Service) newToken() (token string, digest []byte, err error) {
	raw := make([]byte, adminTokenSize)
	if _, err := io.ReadFull(s.d.Rand, raw); err != nil {
		return "", nil, fmt.Errorf("make admin token: %w", err)
	}
	token = adminTokenPrefix + base64.RawURLEncoding.EncodeToString(raw)
	sum := sha256.Sum256([]byte(token))
	return token, sum[:], nil
}
