#!/usr/bin/env bash
# Breaks the sources on purpose, a named mutation or two for each target, and sees its short run fail: `fuzz/mutants.sh [NAME]`.
# Prints a line a mutation; exits 1 if one of them survives.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
# The dependencies are built once, for this and for what is not broken.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
work=$CARGO_TARGET_DIR/fuzz-mutants
mkdir -p "$work"

# name ; file ; perl substitution on the whole file ; the target that must fail
mutants() {
  cat <<'LIST'
refund-above-the-burst ; algorithm/token_bucket.rs ; s/let missing = instant\.checked_sub\(floor\)\.filter\(\|&missing\| missing > 0\)\?;(.*?)\(units > 0\)\.then\(\|\| instant - units\)/let missing = instant.max(floor) - floor;$1Some(instant.max(floor) - units)/s ; token_bucket
burst-arrives-full ; algorithm/token_bucket.rs ; s/full as i64 - instant\.max\(full - self\.burst\(\)\) as i64/full as i64 - instant as i64/ ; token_bucket
debt-has-no-limit ; algorithm/token_bucket.rs ; s/\(floor \+ 2 \* self\.burst\(\)\)\.saturating_sub\(start\)/(floor + 3 * self.burst()).saturating_sub(start)/ ; token_bucket
shrink-loses-a-stripe ; token_bucket/core/loan.rs ; s/clamp\(-\(lent as i64\), stock as i64\)/clamp(0, stock as i64)/ ; striped
used-and-left ; striped.rs ; s/claim\.leave\(taken - need\);/claim.leave(taken);/ ; striped
any-loan-comes-back ; token_bucket/core/loan.rs ; s/ \|\| loan\.generation != self\.generation\(\)// ; local
stock-is-not-returned ; token_bucket/core/loan.rs ; s/\|_, _\| Some\(stock as i64\)/|_, _| Some(0 * stock as i64)/ ; local
late-thread-goes-back ; algorithm/window.rs ; s/self\.window_of\(view\.stamp\)\.max\(held\.start \+ if closing \{ self\.span \} else \{ 0 \}\)/self.window_of(view.stamp)/ ; fixed_window
window-begins-late ; algorithm/window.rs ; s/open\.mark > self\.mark\(open\.previous\) \+ self\.span/open.mark >= self.mark(open.previous) + self.span/ ; sliding_window
mark-goes-back ; algorithm/window.rs ; s/Open \{ mark: mark\.max\(held\.mark\), /Open { mark, / ; sliding_window
change-fills-the-bucket ; adaptive/control.rs ; s/(somebody_waits = result\.unwrap_or_default\(\);)/$1 bucket.refund(u64::MAX);/ ; adaptive
threshold-itself-cuts ; algorithm/law.rs ; s/as f64 > self\.error_threshold/as f64 >= self.error_threshold/ ; adaptive
ignores-the-pause ; adaptive/gate.rs ; s/ && ticks >= self\.closed_until\.load\(Ordering::Relaxed\)// ; adaptive
evicts-who-owes ; per_key/store.rs ; s/instant <= entry\.params\(own\)\.fresh_instant\(full_at\)/instant <= entry.params(own).full(full_at)/ ; per_key
demotion-forgets-debts ; per_key/promoted.rs ; s/let instant = core\.carry_over\(ticks, params\);/let instant = core.carry_over(ticks, params).min(params.full(ticks));/ ; per_key
wait-of-who-denies ; compose.rs ; s/Denied \{ retry_after: first\.max\(second\) \}/Denied { retry_after: first }/ ; compose
smallest-capacity ; compose.rs ; s/if first <= second/if first >= second/ ; compose
decimals-are-cut ; quota/text.rs ; s/\(nanos % scale == 0\)\.then_some\(nanos \/ scale\)/Some(nanos \/ scale)/ ; quota_text
place-one-early ; quota/text.rs ; s/self\.text\.len\(\) - rest\.len\(\)/(self.text.len() - rest.len()).saturating_sub(1)/ ; quota_text
LIST
}

# Not with their old times: a source that goes back to what it was must count as changed.
(cd "$root" && git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf -) | tar -xmf - -C "$work"
status=0
while IFS= read -r line; do
  name=${line%% ; *} rest=${line#* ; } target=${line##* ; }
  file=${rest%% ; *} rest=${rest#* ; } change=${rest% ; *}
  [ $# -gt 0 ] && [ "$1" != "$name" ] && continue
  perl -0pi -e "$change" "$work/src/$file"
  if cmp -s "$root/src/$file" "$work/src/$file"; then
    printf '%-28s NOT APPLIED\n' "$name"; status=1; continue
  fi
  out=$("$work/.ci/fuzz" 20 "$target" 2>&1)
  code=$?
  if grep -q '^error\(\[\|: could not compile\)' <<<"$out"; then
    printf '%-28s DOES NOT COMPILE\n' "$name"; status=1; grep -A6 '^error' <<<"$out" | head -20
  elif [ $code -eq 0 ]; then
    printf '%-28s SURVIVED %s\n' "$name" "$target"; status=1
  elif ! grep -qE 'panicked|ALARM' <<<"$out"; then
    printf '%-28s FAILED OTHERWISE\n' "$name"; status=1; tail -5 <<<"$out"
  else
    # A panic, or a call that does not return.
    printf '%-28s killed by %s: %s\n' "$name" "$target" "$(grep -A1 -m1 -E 'panicked|ALARM' <<<"$out" | tail -1)"
  fi
  cp "$root/src/$file" "$work/src/$file"
done < <(mutants)
exit $status
