#!/usr/bin/env bash
# Breaks the sources on purpose, one named mutation at a time, and sees a model fail: `loom-tests/mutants.sh [NAME]`.
# Prints a line a mutation; exits 1 if one of them survives.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/mutants"
# Always the same place: cargo takes a build for fresh by the files that it was made from.
work=$CARGO_TARGET_DIR
mkdir -p "$work"
# Many short builds: without the optimisation across crates that measuring wants.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

# name ; file ; perl substitution on the whole file ; the model that must fail
mutants() {
  cat <<'LIST'
cas-stores ; word.rs ; s/word\.compare_exchange\(current, new, Ordering::AcqRel, Ordering::Acquire\)/{ word.store(new, Ordering::Release); Ok(current) }/ ; acquire_acquire
retry-keeps-decision ; token_bucket/core.rs ; s/Err\(observed\) => view\.instant = observed \^ live,/Err(observed) => { let _ = cas(&self.word, observed, next ^ live); return Commit::Done; }/ ; acquire_acquire_acquire
time-is-recredited ; algorithm/token_bucket.rs ; s/let start = instant\.max\(floor\);/let start = floor.max(instant.min(floor + 1));/ ; acquire_acquire
stale-is-full ; algorithm/token_bucket.rs ; s/let start = instant\.max\(floor\);/let start = if instant < floor || instant > floor + self.burst() { floor } else { instant };/ ; while_time_passes
stale-look-wraps ; algorithm/token_bucket.rs ; s/\(floor \+ self\.burst\(\)\)\.saturating_sub\(instant\.max\(floor\)\)/(floor + self.burst()).wrapping_sub(instant.max(floor))/ ; look_while_time_passes
refund-writes-when-full ; algorithm/token_bucket.rs ; s/let missing = instant\.checked_sub\(floor\)\.filter\(\|&missing\| missing > 0\)\?;(.*?)\(units > 0\)\.then\(\|\| instant - units\)/let missing = instant.max(floor) - floor;$1Some(instant.max(floor) - units)/s ; acquire_refund_while_time_passes
up-to-ignores-level ; algorithm/token_bucket.rs ; s/let taken = n\.min\(\(floor \+ self\.burst\(\)\)\.saturating_sub\(start\) >> self\.shift\(\)\);/let taken = n.min(self.capacity());/ ; acquire_up_to
debt-has-no-limit ; algorithm/token_bucket.rs ; s/\(floor \+ 2 \* self\.burst\(\)\)\.saturating_sub\(start\)/(floor + 3 * self.burst()).saturating_sub(start)/ ; acquire_charge
reader-ignores-version ; params.rs ; s/self\.version\.load\(Ordering::Relaxed\) == version$/{ let _ = version; true }/m ; acquire_set_quota_slower
reader-ignores-slot ; token_bucket/core.rs ; s/\(word & SLOT == live && slot\.is_still\(version\)\)/(slot.is_still(version))/ ; acquire_set_quota_same_scale
clock-after-validation ; token_bucket/core.rs ; s/let ticks = clock\.ticks\(\);(\s*\/\/ Ordering: Acquire pairs with the exchanges.*?)\(word & SLOT == live && slot\.is_still\(version\)\)\.then_some/$1let valid = word & SLOT == live && slot.is_still(version); let ticks = clock.ticks(); valid.then_some/s ; acquire_set_quota_slower
level-is-not-scaled ; algorithm/token_bucket.rs ; s/let level = \(\(level << next\.shift\(\)\) >> self\.shift\(\)\) \+/let level = level +/ ; acquire_set_quota_other_scale
scales-share-numbers ; algorithm/token_bucket.rs ; s/_ if highest < room => highest \+ 1,\s*_ => place\(salt, room\),/_ => 0 * (highest + room + place(salt, room)),/ ; take_all_change_of_scale
burst-arrives-full ; algorithm/token_bucket.rs ; s/full as i64 - instant\.max\(full - self\.burst\(\)\) as i64/full as i64 - instant as i64/ ; charge_set_quota
debt-is-forgotten ; algorithm/token_bucket.rs ; s/level\.clamp\(-i128::from\(next\.burst\(\)\), /level.clamp(0, / ; charge_set_quota
setters-do-not-exclude ; token_bucket/core.rs ; s/(Scale::finest\(quota\)\?;\s*)let _guard = self\.setter\.lock\(\);/$1/ ; set_quota_set_quota
setter-drops-refund ; token_bucket/core.rs ; s/if cas\(&self\.word, word, \(word & !INSTANT\) \| carried \| SLOT\)\.is_ok\(\) \{/if { let mut w = word; while let Err(seen) = cas(&self.word, w, (w & !INSTANT) | carried | SLOT) { w = seen; } true } {/ ; refund_set_quota
start-resets ; token_bucket/core.rs ; s/\(word \^ SLOT\) \+ params\.holding\(permits\)/params.holding(permits)/ ; first_call
start-keeps-its-reading ; token_bucket/core.rs ; s/loop \{(\s*\/\/ Ordering: Acquire pairs with the exchanges of those who.*?)let now = clock\.ticks\(\);/let now = clock.ticks(); loop {$1/s ; first_call_while_time_passes
change-keeps-its-reading ; token_bucket/core.rs ; s/let \(new, more\) = loop \{(.*?)clock\.ticks\(\)\)/let now = clock.ticks(); let (new, more) = loop {$1now)/s ; faster_while_full
change-before-start ; token_bucket/core.rs ; s/self\.start\(clock, self\.first\.capacity\(\)\);(\s*let old)/$1/ ; first_call_set_quota
version-is-first ; params.rs ; s/(let set = \|field: &AtomicU64, value\|.*?)self\.version\.store\(version \+ 1, Ordering::Release\);/self.version.store(version + 1, Ordering::Release); $1/s ; first_call_set_quota
version-store-is-relaxed ; params.rs ; s/store\(version \+ 1, Ordering::Release\)/store(version + 1, Ordering::Relaxed)/ ; acquire_set_quota_slower
version-load-is-relaxed ; params.rs ; s/self\.version\.load\(Ordering::Acquire\)/self.version.load(Ordering::Relaxed)/ ; acquire_set_quota_slower
field-stores-are-relaxed ; params.rs ; s/field\.store\(value, Ordering::Release\)/field.store(value, Ordering::Relaxed)/ ; look_set_quota
field-loads-are-relaxed ; params.rs ; s/field\.load\(Ordering::Acquire\)/field.load(Ordering::Relaxed)/ ; look_set_quota
word-load-is-relaxed ; token_bucket/core.rs ; s/self\.word\.load\(Ordering::Acquire\)/self.word.load(Ordering::Relaxed)/g ; refund_set_quota
exchange-is-relaxed ; word.rs ; s/Ordering::AcqRel, Ordering::Acquire/Ordering::Relaxed, Ordering::Relaxed/ ; refund_set_quota
opens-before-closing ; window/core.rs ; s/(if law\.slides\(\) && !self\.params\.same_window\(view\.now, next\) \{\s*raise\(&self\.closed, view\.now & !self\.params\.wait_bit\(\)\);\s*\})\s*(match cas\(&self\.now, view\.now, next\) \{)\s*Ok\(_\) => true,/$2 Ok(_) => { $1 true }/s ; acquire_acquire_in_a_new_window
closes-once ; window/core.rs ; s/!self\.params\.same_window\(view\.now, next\) \{/!self.params.same_window(view.now, next) \&\& !self.params.same_window(view.now, view.closed) {/ ; no_interval_is_above
closing-goes-back ; word.rs ; s/word\.fetch_max\(new, Ordering::Release\)/word.store(new, Ordering::Release)/ ; several_roll_overs
ignores-a-begun-closing ; algorithm/window.rs ; s/law\.slides\(\) && self\.same_window\(view\.now, view\.closed\)/false/; s/\(!law\.slides\(\) \|\| !self\.same_window\(view\.now, view\.closed\)\)/true/g ; being_closed
late-thread-goes-back ; algorithm/window.rs ; s/self\.window_of\(view\.stamp\)\.max\(held\.start \+ if closing \{ self\.span \} else \{ 0 \}\)/self.window_of(view.stamp)/ ; late_thread
mark-goes-back ; algorithm/window.rs ; s/Open \{ mark: mark\.max\(held\.mark\), /Open { mark, / ; same_window
mark-is-not-raised ; algorithm/window.rs ; s/\.then\(\|\| open\.mark \| \(open\.current \+ n\)\)/.then(|| if open.current > 0 { view.now + n } else { open.mark | n })/ ; same_window
previous-expires-early ; algorithm/window.rs ; s/open\.mark > self\.mark\(open\.previous\) \+ self\.span/open.mark >= self.mark(open.previous) + self.span/ ; roll
window-retry-keeps-decision ; window/core.rs ; s/(Err\(observed\) => \{)(\s*self\.update\(law, view, observed\);\s*false)/$1 if cas(\&self.now, observed, next).is_ok() { return true; }$2/ ; refund_roll
window-load-is-relaxed ; window/core.rs ; s/self\.now\.load\(Ordering::Acquire\)/self.now.load(Ordering::Relaxed)/g ; in_a_new_window
closed-load-is-relaxed ; window/core.rs ; s/self\.closed\.load\(Ordering::Acquire\)/self.closed.load(Ordering::Relaxed)/g ; several_roll_overs
raise-is-relaxed ; word.rs ; s/fetch_max\(new, Ordering::Release\)/fetch_max(new, Ordering::Relaxed)/ ; several_roll_overs
denies-at-an-old-reading ; window/core.rs ; s/\} else if in_order \{/} else if in_order | true {/ ; finds_what_is_there
no-look-after-joining ; wait/acquire.rs ; s/self\.state = State::Joined\(joined\);\s*joined/self.state = State::Joined(joined); let mut line = self.source.line().lock(); let _ = line.store(joined.key, waker.clone()); return Step::Sleep(None)/ ; head_refund
waking-before-the-exchange ; token_bucket.rs ; s/if self\.put_back\(n\)\.1 \{\s*self\.line\.wake_head\(\);\s*\}/self.line.wake_head(); let _ = self.put_back(n);/ ; head_refund
serves-on-an-old-word ; token_bucket/core.rs ; s/let word = self\.word\.load\(Ordering::Acquire\);\s*view\.instant = word \^ view\.live;/let _ = view.instant;/ ; clock_that_runs
clock-is-not-read-again ; wait/acquire.rs ; s/is_registered = true;/let _ = is_registered; return Step::Sleep(None);/ ; head_clock_moved
flag-cleared-without-the-lock ; wait/acquire.rs ; s/if line\.is_empty\(\) \{\s*self\.source\.set_waiting\(false\);\s*\}\s*drop\(line\);/let empty = line.is_empty(); drop(line); if empty { self.source.set_waiting(false); }/ ; new_one_joins
leaver-wakes-nobody ; wait/line.rs ; s/let head = if previous == NONE \{ self\.take_head_waker\(\) \} else \{ None \};/let head = None;/ ; two_served
setter-wakes-nobody ; token_bucket.rs ; s/self\.line\.wake_after_change\(quota\.capacity\(\)\);// ; burst_shrinks
setter-reads-the-flag-first ; token_bucket/core.rs ; s/let replaced = self\.change_bits\(\|word\| word & !SLOT\);/self.change_bits(|word| word \& !SLOT); let replaced = early;/; s/let old = self\.slots\[0\]\.read\(\);/let early = self.word.load(Ordering::Acquire); let old = self.slots[0].read();/ ; burst_shrinks
waker-stored-after-the-look ; wait/acquire.rs ; s/let old = line\.store\(joined\.key, stored\);/drop(line); let mut line = source.line().lock(); let old = line.store(joined.key, stored);/ ; head_refund
serves-without-the-lock ; wait/acquire.rs ; s/let due = if line\.is_head\(joined\.key\) \{\s*match source\.serve\(&mut view, n, !line\.is_alone\(\)\) \{/let due = if line.is_head(joined.key) { let others = !line.is_alone(); drop(line); let served = source.serve(\&mut view, n, others); line = source.line().lock(); match served {/ ; head_served
looks-on-an-old-quota ; wait/acquire.rs ; s/if !source\.is_current\(&view\) \{\s*continue;\s*\}// ; shrinks_below_one_behind
flag-is-stored ; token_bucket/core.rs ; s/while let Err\(observed\) = cas\(&self\.word, word, change\(word\)\) \{\s*word = observed;\s*\}\s*word/self.word.store(change(word), Ordering::Release); word += 0; word/ ; clock_that_runs
window-flag-is-stored ; window/core.rs ; s/while let Err\(observed\) = cas\(&self\.now, now, if waiting \{ now \| wait \} else \{ now & !wait \}\) \{\s*now = observed;\s*\}/now = if waiting { now | wait } else { now \& !wait }; self.now.store(now, Ordering::Release);/ ; window_head_refund
window-serves-on-old-words ; window/core.rs ; s/\(view\.now, view\.closed\) = self\.words\(law, self\.now\.load\(Ordering::Acquire\)\);\s*loop/loop/ ; window_head_refund
reports-are-stored ; counters.rs ; s/counter\.fetch_add\(amount, Ordering::Relaxed\);/let count = counter.load(Ordering::Relaxed); counter.store(count.wrapping_add(amount), Ordering::Relaxed);/ ; report_roll_report
reports-are-summed-again ; adaptive/control.rs ; s/\(edge\.calls, edge\.permits\) = \(counters\.allowed\(\), counters\.permits\(\)\);/edge.outcomes = counters.outcomes();/ ; report_roll_report
base-load-is-relaxed ; adaptive/control.rs ; s/count\.load\(Ordering::Acquire\)/count.load(Ordering::Relaxed)/ ; report_roll_look
base-store-is-relaxed ; adaptive/control.rs ; s/edge\.outcomes\.(successes|errors), Ordering::Release/edge.outcomes.$1, Ordering::Relaxed/g ; report_roll_look
due-is-not-looked-at-again ; adaptive/control.rs ; s/if edge\.ticks\.saturating_sub\(control\.from\(\)\) < control\.window \{\s*return;\s*\}// ; two_racers
turns-do-not-exclude ; adaptive/control.rs ; s/let Some\(_turn\) = control\.turn\.try_lock\(\) else \{.*?\n        \};/let _turn = control.turn.try_lock();/s ; two_racers
end-follows-the-first-reading ; adaptive/control.rs ; s/edge\.ticks = bucket\.clock\.ticks\(\)\.max\(edge\.ticks\)\.max\(control\.busy_until\(\)\);// ; a_late_change
change-fills-the-bucket ; adaptive/control.rs ; s/(somebody_waits = result\.unwrap_or_default\(\);)/$1 bucket.refund(u64::MAX);/ ; acquire_change
pause-is-stored ; adaptive/gate.rs ; s/raise\(&self\.closed_until, ticks\);/if false { raise(\&self.closed_until, ticks); } self.closed_until.store(ticks, Ordering::Release);/ ; pause_pause
usual-way-ignores-the-pause ; adaptive/gate.rs ; s/ && ticks >= self\.closed_until\.load\(Ordering::Relaxed\)// ; pause_pause
change-wakes-nobody ; adaptive/control.rs ; s/if somebody_waits \{\s*bucket\.line\.wake_quietly_after_change\(.*?\);\s*\}/let _ = somebody_waits;/s ; cut_below
line-ignores-the-pause ; adaptive/wait.rs ; s/if closed\.is_zero\(\) \{/if closed.is_zero() || n > 0 {/ ; head_pause
last-change-is-not-checked ; adaptive/change.rs ; s/if self\.count\.load\(Ordering::Relaxed\) == count \{/if self.count.load(Ordering::Relaxed) >= count {/ ; look_at_changes
last-change-fields-are-relaxed ; adaptive/change.rs ; s/field\.load\(Ordering::Acquire\)/field.load(Ordering::Relaxed)/ ; look_at_changes
last-change-stores-are-relaxed ; adaptive/change.rs ; s/field\.store\(word, Ordering::Release\)/field.store(word, Ordering::Relaxed)/ ; look_at_changes
last-change-count-is-relaxed ; adaptive/change.rs ; s/self\.count\.store\(count, Ordering::Release\)/self.count.store(count, Ordering::Relaxed)/ ; look_at_changes
newcomer-looks-once ; per_key/inner.rs ; s/if let Some\(entry\) = known \{(\s*return Enter::Leave\(Newcomer::from\(self\.take)/if let Some(entry) = known.filter(|_| n == 0) {$1/ ; newcomer_newcomer
newcomer-starts-at-zero ; per_key/store.rs ; s/params\.fresh_instant\(self\.swept\[self\.shards\.shard\(hash\)\]\.load\(Ordering::Acquire\)\)/params.fresh_instant(0 * hash)/ ; evict
raised-after-removal ; per_key/store.rs ; s/if goes && swept\.load\(Ordering::Relaxed\) < full_at \{\s*raise\(swept, full_at\);\s*\}//; s/self\.sweep_what\(cursor, PIECE, wait, goes, removed\)/let piece = self.sweep_what(cursor, PIECE, wait, goes, removed); raise(swept, full_at); piece/ ; evict
evicts-who-owes ; per_key/store.rs ; s/instant <= entry\.params\(own\)\.fresh_instant\(full_at\)/instant <= entry.params(own).full(full_at)/ ; evict
place-is-stored ; per_key/store.rs ; s/match cas\(&self\.keys, keys, keys \+ 1\) \{/match { self.keys.store(keys + 1, Ordering::Relaxed); Ok::<u64, u64>(keys) } {/ ; make_room
promotes-beside-others ; per_key/inner.rs ; s/store\.with_mut\(hash, key, \|entry\| self\.promote/store.with(hash, key, |entry| self.promote/ ; promote_acquire
sweep-drops-who-is-held ; per_key/store.rs ; s/let Ok\(instant\) = entry::look\(entry\.word\(\)\) else \{\s*return false;\s*\};/let instant = entry::look(entry.word()).unwrap_or(0);/ ; handle_evict
remove-drops-who-is-held ; per_key/inner.rs ; s/is_moved = entry::look\(entry\.word\(\)\)\.is_err\(\);/is_moved = entry::look(entry.word()).is_err() \&\& hash == 1;/ ; handle_remove
clear-drops-who-is-held ; per_key/store.rs ; s/\.map_err\(&mut in_use\)\.is_ok\(\)/.map_err(\&mut in_use).is_ok() || true/ ; handle_clear
users-outside-the-guard ; per_key/promoted.rs ; s/entry::look\(entry\.word\(\)\)\.err\(\)\.map\(bucket\)\)\.flatten\(\)/entry::look(entry.word()).err()).flatten().map(bucket)/ ; demote_acquire
settles-with-users ; per_key/promoted.rs ; s/if bucket\.users\.load\(Ordering::Acquire\) > 0 \{/if bucket.users.load(Ordering::Acquire) > 1_000 {/ ; demote_handle
settles-whatever-is-there ; per_key/promoted.rs ; s/\.is_some_and\(\|there\| Arc::ptr_eq\(there, bucket\)\)/.is_some()/ ; promote_other
last-user-leaves-relaxed ; per_key/promoted.rs ; s/users\.fetch_sub\(1, Ordering::Release\)/users.fetch_sub(1, Ordering::Relaxed)/ ; demote
nobody-is-found-relaxed ; per_key/promoted.rs ; s/users\.load\(Ordering::Acquire\)/users.load(Ordering::Relaxed)/ ; demote
demotion-forgets-debts ; per_key/promoted.rs ; s/let instant = core\.carry_over\(ticks, params\);/let instant = core.carry_over(ticks, params).min(params.full(ticks));/ ; in_debt
demoted-as-it-stands ; per_key/promoted.rs ; s/let instant = core\.carry_over\(ticks, params\);/let instant = core.word() + 0 * ticks;/ ; slow_quota
demoted-to-the-own-quota ; per_key/promoted.rs ; s/let tier = bucket\.ruling\(\)\.tier\.clone\(\);/let tier = None;/ ; requota_last_handle
refund-to-the-mark ; per_key/entry.rs ; s/if instant & MOVED != 0 \{\s*return Err\(Moved\);\s*\}(\s*while)/$1/ ; wait_
newcomer-by-an-old-answer ; per_key/inner.rs ; s/if !rule\.is_current\(\) \{\s*return Enter::Again;\s*\}// ; requota_newcomer
holder-by-an-old-answer ; per_key/inner.rs ; s/if known\.is_some\(\) \|\| !rule\.is_current\(\) \{/if known.is_some() {/ ; requota_handle
struck-out-after-the-look ; per_key/inner.rs ; s/self\.rules\.strike_out\(hash\);(\s*let Some\(user\) = self\.user\(store, hash, key\) else \{)(\s*return false;\s*\};)/$1 self.rules.strike_out(hash); $2/ ; requota_newcomer
nobody-is-struck-out ; per_key/inner.rs ; s/self\.rules\.strike_out\(hash\);// ; requota_
ruled-by-an-old-answer ; per_key/promoted.rs ; s/if ruling\.asked == asked \{/if ruling.asked == asked || true {/ ; requota_requota
rule-is-not-kept ; per_key/promoted.rs ; s/ruling\.tier = tier;\s*return self\.impose\(&ruling\);/let now = Ruling { tier, asked, handles: ruling.handles }; return self.impose(\&now);/ ; requota_last_handle
removed-by-an-old-answer ; per_key/inner.rs ; s/user\.rule\(\|\| self\.rules\.ask\(&key, &self\.clock\)\);(\s*user\.reset)/let _ = \&key; $1/ ; remove_by_the_rule
last-handle-imposes-nothing ; per_key/promoted.rs ; s/ruling\.handles == 0 && self\.impose\(&ruling\)/ruling.handles == usize::MAX \&\& self.impose(\&ruling)/ ; last_handle_reservation
any-handle-imposes ; per_key/promoted.rs ; s/ruling\.handles == 0 && self/ruling.handles < 9 \&\& self/ ; one_handle
imposes-without-the-lock ; per_key/promoted.rs ; s/let impose = AssertUnwindSafe\(\|\| ruling\.handles == 0 && self\.impose\(&ruling\)\);/let last = ruling.handles == 0; drop(ruling); let ruling = self.bucket.ruling(); let impose = AssertUnwindSafe(|| last \&\& self.impose(\&ruling));/ ; new_handle_set_quota
last-handle-wakes-nobody ; per_key/promoted.rs ; s/self\.line\.wake_quietly_after_change\(self\.quota\(\)\.capacity\(\)\);// ; larger_quota
rule-wakes-nobody ; per_key/promoted.rs ; s/self\.line\.wake_after_change\(self\.quota\(\)\.capacity\(\)\);// ; wait_requota
clock-before-claim ; striped.rs ; s/let view = self\.centre\.core\.look\(&self\.centre\.clock\);(\s*if n > view)/let mut view = self.centre.core.look(\&self.centre.clock);$1/; s/self\.fill\(claim, batch, n\)/self.fill(\&mut view, claim, batch, n)/; s/fn fill\(&self, claim/fn fill(\&self, view: \&mut View, claim/; s/let taken = self\.centre\.core\.draw\(&self\.centre\.clock, need, batch\.permits\(\)\);/let (taken, next) = view.params.take_up_to(view.instant, view.ticks, need + batch.permits()); let taken = match next { Some(next) if taken >= need \&\& matches!(self.centre.core.commit(view, next), crate::token_bucket::core::Commit::Done) => taken, _ => 0 };/ ; stalled_draw_take
claimed-twice ; striped/stripe.rs ; s/while word & MARK == 0 \{/while word | MARK != 0 {/ ; draw_draw
filled-is-free ; striped.rs ; s/claim\.leave\(stock - n\)/claim.leave(stock)/ ; draw_draw
used-and-left ; striped.rs ; s/claim\.leave\(taken - need\)/claim.leave(taken)/ ; draw_draw
claim-keeps-stock ; striped/stripe.rs ; s/let marked = \(word & !STOCK\) \| MARK;/let marked = word | MARK;/ ; gather_
deposit-is-stored ; striped/stripe.rs ; s/let is_back = cas\(&self\.stripe\.0, self\.marked, (.*?)\)\.is_ok\(\);/self.stripe.0.store($1, Ordering::Release); let is_back = true;/ ; draw_set_quota
generation-stands ; striped/stripe.rs ; s/wrapping_add\(1 << GENERATION_SHIFT\)/wrapping_add(0 << GENERATION_SHIFT)/ ; refund_set_quota
fills-any-generation ; striped.rs ; s/\.filter\(\|claim\| claim\.is_of\(batch\)\)/.filter(|claim| claim.is_of(batch) || n > 0)/ ; draw_set_quota
refund-to-any-generation ; striped/stripe.rs ; s/ \|\| !batch\.is_of\(word\)// ; refund_set_quota
refund-into-a-claim ; striped/stripe.rs ; s/ \|\| word & MARK != 0 \|\|/ ||/ ; refund_draw
refund-beyond-a-batch ; striped/stripe.rs ; s/let room = batch\.permits\(\)\.saturating_sub\(word & STOCK\)\.min\(n\);/let room = n.min(STOCK);/ ; refund_take
denied-gathering-keeps ; striped.rs ; s/take\(n\.saturating_sub\(held\)\)\?;/if let Err(denied) = take(n.saturating_sub(held)) { claims.into_iter().flatten().for_each(|claim| claim.leave(0)); return Err(denied); }/ ; gather_
gathered-stays ; striped.rs ; s/for claim in claims\.into_iter\(\)\.rev\(\)\.flatten\(\) \{.*?left = 0;\s*\}/let _ = \&mut left;/s ; gather_
rest-is-all ; striped.rs ; s/claim\.leave\(left\);\s*left = 0;/if left == 0 { claim.leave(0); }/ ; gather_
taken-without-exchange ; striped/stripe.rs ; s/match cas\(&self\.0, word, word - n\) \{\s*Ok\(_\) => return true,\s*Err\(observed\) => word = observed,\s*\}/word -= n; self.0.store(word, Ordering::Release); return true;/ ; steal
stolen-without-exchange ; striped/stripe.rs ; s/match cas\(&self\.0, word, word - taken\) \{\s*Ok\(_\) => return taken,\s*Err\(observed\) => word = observed,\s*\}/word -= taken; self.0.store(word, Ordering::Release); return taken;/ ; steal
stripe-emptied-by-store ; striped/stripe.rs ; s/match cas\(&self\.0, word, batch\.empty\(\)\) \{\s*Ok\(_\) => return word & STOCK,\s*Err\(observed\) => word = observed,\s*\}/self.0.store(batch.empty(), Ordering::Release); word \&= STOCK; return word;/ ; take_set_quota
striped-setters-do-not-exclude ; token_bucket/core/loan.rs ; s/let _guard = self\.setter\.lock\(\);(\s*change\(self\))/$1/ ; set_quota_set_quota
lent-is-in-the-burst ; token_bucket/core/loan.rs ; s/quota\.burst\(quota\.capacity\(\) - lent\)/quota.burst(quota.capacity() - 0 * lent)/ ; stalled_draw_take
lent-stays-in-the-burst ; token_bucket/core/loan.rs ; s/let lent = self\.history\.lent\(\) \+ budget;/let lent = self.history.lent() + 0 * budget;/ ; lend_
lent-is-not-taken ; token_bucket/core/loan.rs ; s/-there\.min\(budget as i64\)/0 * there/, s/taken\.unsigned_abs\(\)/budget + taken.unsigned_abs()/ ; lend_draw
lenders-do-not-exclude ; token_bucket/core/loan.rs ; s/let _guard = self\.setter\.try_lock\(\)\.ok_or\(Busy\)\?;// ; lend_lend
ends-beside-a-lender ; token_bucket/core/loan.rs ; s/(fn take_back.*?)let _guard = self\.setter\.lock\(\);/$1/s ; drop_lend
lends-in-debt ; token_bucket/core/loan.rs ; s/\(there >= 0 && !waits\)\.then\(\|\| -there\.min\(budget as i64\)\)/(!waits).then(|| -there.clamp(0, budget as i64))/ ; no_interval
any-loan-comes-back ; token_bucket/core/loan.rs ; s/loan\.generation != self\.generation\(\)/loan.generation > self.generation()/ ; drop_set_quota
loan-does-not-end ; token_bucket/core/loan.rs ; s/self\.history\.lent\(\) - loan\.budget/self.history.lent() - 0 * loan.budget/ ; drop_
change-recalls-nothing ; token_bucket/core.rs ; s/self\.generation\.store\(generation\.wrapping_add\(1\)/self.generation.store(generation.wrapping_add(0)/ ; set_quota
local-keeps-its-loan ; local.rs ; s/let has = self\.loan\.generation == self\.lender\.centre\(\)\.core\.generation\(\) && n/let has = n/ ; draw_set_quota
stock-is-not-returned ; local.rs ; s/take_back\(&centre\.clock, self\.loan, self\.stock\)/take_back(\&centre.clock, self.loan, 0 * self.stock)/ ; drop_draw
own-stock-stays ; local.rs ; s/self\.stock = 0;(\s*Ok\(\(\)\))/$1/ ; gather_take
puts-without-fence ; striped/drained.rs ; s/(pub\(super\) fn end\(&self\) \{.*?)fence\(Ordering::SeqCst\);/$1/s ; fill_look
looks-without-fence ; striped/drained.rs ; s/(is_ok\(\) \{.*?)fence\(Ordering::SeqCst\);/$1/s ; fill_look
known-after-one-look ; striped/drained.rs ; s/if are_empty\(\) \{/if !self.is_known() {/ ; fill_look
told-before-it-is-there ; striped/stripe.rs ; s/let is_back = (cas.*?);\s*if is_back && self\.stock > 0 \{\s*self\.drained\.end\(\);\s*\}/self.drained.end(); let _ = $1;/s ; fill_look
claim-does-not-tell ; striped/stripe.rs ; s/self\.drained\.end\(\);/let _ = self.drained;/ ; _look
fill-tells-nobody ; striped.rs ; s/(self\.fill\(claim, batch, n\)\);\s*)self\.tell_head\(\);/$1/ ; head_fill
gatherer-tells-nobody ; striped.rs ; s/self\.tell_head\(\);(\s*result\s*\})/$1/ ; head_put_back
serves-without-fence ; striped/wait.rs ; s/fence\(Ordering::SeqCst\);// ; head_
refund-does-not-tell ; striped/stripes.rs ; s/if left < n \{/if left > n {/ ; refund_look
waits-for-a-claim ; striped.rs ; s/self\.centre\.take\(view, n\) \{(\s*return Ok)/(there == n || batch.permits() == 0).then(|| self.centre.take(view, n)).flatten() {$1/ ; draw_draw
a-fraction-comes-twice ; striped.rs ; s/units\.div_ceil\(1 << shift\)/units >> shift/ ; in_fractions
nothing-comes-back ; compose/members.rs ; s/self\.members\.member\(last\)\.composite_give_back\(self\.n, peek\);/let _ = peek;/ ; opposite_orders
first-does-not-come-back ; compose/members.rs ; s/self\.count\.checked_sub\(1\)/self.count.checked_sub(1).filter(|\&last| last > 0)/ ; opposite_orders
more-comes-back ; compose/members.rs ; s/composite_give_back\(self\.n, peek\)/composite_give_back(2 * self.n, peek)/ ; rolled_back_exactly
takes-by-any-reading ; limiter/own.rs ; s/&Earlier\(peek\.reading\)/\&Earlier(peek.reading + (1 << 40))/ ; opposite_orders_while
beyond-its-budget ; local.rs ; s/core\.draw\(&centre\.clock, need, self\.loan\.budget\)/core.draw(\&centre.clock, need, 2 * self.loan.budget)/ ; stalled_draw_take
LIST
}

status=0
while IFS= read -r line; do
  name=${line%% ; *} rest=${line#* ; }
  file=${rest%% ; *} rest=${rest#* ; }
  model=${rest##* ; } change=${rest% ; *}
  [ $# -gt 0 ] && [ "$1" != "$name" ] && continue
  rm -rf "$work/tree" && mkdir -p "$work/tree"
  # Not with their old times: a source that goes back to what it was must count as changed.
  (cd "$root" && tar cf - --exclude=./target --exclude=./.git .) | tar xmf - -C "$work/tree"
  perl -0pi -e "$change" "$work/tree/src/$file"
  if cmp -s "$root/src/$file" "$work/tree/src/$file"; then
    printf '%-28s NOT APPLIED\n' "$name"; status=1; continue
  fi
  out=$(cd "$work/tree" && timeout 120 cargo test --quiet -p loom-tests -p shuttle-tests --release --no-fail-fast -- "$model" 2>&1)
  code=$?
  if grep -q '^error\(\[\|: could not compile\)' <<<"$out"; then
    printf '%-28s DOES NOT COMPILE\n' "$name"; status=1; grep -A6 '^error' <<<"$out" | head -20
  elif [ $code -eq 0 ]; then
    printf '%-28s SURVIVED\n' "$name"; status=1
  elif [ $code -eq 124 ]; then
    printf '%-28s TIMED OUT\n' "$name"; status=1
  else
    # A panic with threads about aborts the process: then the panic's own line names the model.
    printf '%-28s killed by %s\n' "$name" "$(sed -nE "s/^---- (.*) stdout ----$/\1/p; s/^thread '([a-z_0-9]+)' .*panicked.*/\1/p" <<<"$out" | sort -u | paste -sd' ')"
  fi
done < <(mutants)
exit $status
