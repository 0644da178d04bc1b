# Goroutines in gdb: `info goroutines`, `goroutine N CMD`, `goroutine all bt`, `info vole`, `vole-gcore`.
# README.md beside this file tells how to use them, and how gdb comes to load it.
#
# What it knows of the program it reads from vole_debug_layout (layout.cpp); debug information is not
# needed. Nothing is written to the program, so a core file is as good as a process.
#
# How a parked goroutine's stack is walked: gdb walks from the selected thread. While a goroutine is
# shown, an unwinder says of that thread's innermost frame that its caller is the goroutine's saved
# context; the frames above it are hidden, and the numbers begin with the goroutine's own.
#
# gdb runs this in a namespace that all scripts share: every name here begins with Vole. It may be run
# twice. For gdb 11 and later.
import collections
import os
import re
import struct

import gdb
import gdb.unwinder


def vole_read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def vole_number(data, offset, size=8):
    return int.from_bytes(data[offset : offset + size], "little")


def vole_text(address):
    """A C string, cut where memory ends."""
    text = b""
    try:
        while len(text) < 256 and b"\0" not in text:
            text += vole_read(address + len(text), 16)
    except gdb.MemoryError:
        pass
    return text.split(b"\0")[0].decode(errors="replace")


class VoleLayout:
    """The program's description of itself. The names are those of layout.cpp, in its order."""

    MAGIC, VERSION = 0x656C6F76, 3
    NUMBERS = """
        texts status_runnable status_running status_syscall status_waiting status_dead status_idle
        slab_next slab_gs slab_count
        g_bytes g_sp g_m g_stack g_status g_reason g_lock_count g_id g_closure g_created_at
        g_parent_id g_tags g_parked tags_bubble tags_name tags_labels
        labels_room labels_used labels_text closure_invoke
        parked_kind kind_object kind_count kind_stride
        segment_prev segment_lo segment_bytes
        m_bytes m_curg m_p m_commit m_commit_g m_spinning m_blocking_depth m_attention m_detached
        m_locked_g m_all m_id m_tid m_depth m_frozen_context
        p_bytes p_status p_m p_id p_head p_tail p_next
        frame_bytes registers register_bytes register_offset
        """.split()
    POINTERS = """
        saved_registers stack_pointer status_texts reason_texts p_texts
        g_slabs all_ms all_ps procs stopping stop_wait global_size frozen_size script
        """.split()

    def __init__(self):
        try:
            address = int(gdb.parse_and_eval("&vole_debug_layout"))
        except gdb.error:
            raise gdb.GdbError("There is no Vole in this program (or its symbols were stripped: "
                               "vole_debug_layout is not among them).") from None
        if gdb.selected_thread() is None:
            raise gdb.GdbError("The program is not being run.")
        magic, version, size = struct.unpack("<III", vole_read(address, 12))
        if magic != self.MAGIC or version != self.VERSION:
            raise gdb.GdbError(f"The Vole in this program has debug layout version {version}; this "
                               f"script knows version {self.VERSION}. Source the vole-gdb.py that "
                               "came with that Vole.")
        numbers = 4 * (3 + len(self.NUMBERS))
        numbers += numbers % 8
        if size != numbers + 8 * len(self.POINTERS):
            raise gdb.GdbError("vole-gdb.py and the program's layout.cpp do not belong together.")
        table = vole_read(address, size)
        for i, name in enumerate(self.NUMBERS):
            setattr(self, name, vole_number(table, 12 + 4 * i, 4))
        for i, name in enumerate(self.POINTERS):
            setattr(self, name, vole_number(table, numbers + 8 * i))


class VoleGoroutine:
    def __init__(self, layout, address, data):
        self.address = address
        self.sp = vole_number(data, layout.g_sp)
        self.m = vole_number(data, layout.g_m)
        self.stack = vole_number(data, layout.g_stack)
        self.status = data[layout.g_status]
        self.reason = data[layout.g_reason]
        self.locked = vole_number(data, layout.g_lock_count, 2) != 0
        self.id = vole_number(data, layout.g_id)
        self.closure = vole_number(data, layout.g_closure)
        self.created_at = vole_number(data, layout.g_created_at)
        self.parent = vole_number(data, layout.g_parent_id)
        self.name, self.labels, self.bubble = "", "", 0
        tags = vole_number(data, layout.g_tags)
        if tags:
            shared = vole_read(tags, max(layout.tags_name, layout.tags_labels, layout.tags_bubble) + 8)
            name = vole_number(shared, layout.tags_name)
            self.name = vole_text(name) if name else ""
            labels = vole_number(shared, layout.tags_labels)
            self.labels = self.labels_at(layout, labels) if labels else ""
            self.bubble = vole_number(shared, layout.tags_bubble, 4)
        self.parked = vole_number(data, layout.g_parked)

    @staticmethod
    def labels_at(layout, address):
        """ {key: value, key: value}, as write_traceback has it."""
        head = vole_read(address, layout.labels_text)
        size = min(vole_number(head, layout.labels_used, 2), vole_number(head, layout.labels_room, 2))
        words = vole_read(address + layout.labels_text, size).decode(errors="replace").split("\0")
        return " {" + ", ".join(f"{key}: {value}" for key, value in zip(words[::2], words[1::2])) + "}"

    def name_text(self, width=0):
        return f'{self.id:>{width}} "{self.name}"' if self.name else f"{self.id:>{width}}"

    def title(self, width=0):
        return self.name_text(width) + self.labels


class VoleThread:
    """An M: `thread` is gdb's, or None."""

    def __init__(self, layout, data, threads):
        self.curg = vole_number(data, layout.m_curg)
        self.p = vole_number(data, layout.m_p)
        # Set from just before a switch until just after it.
        self.leaving = vole_number(data, layout.m_commit) and vole_number(data, layout.m_commit_g)
        self.spinning = data[layout.m_spinning] != 0
        self.blocking = vole_number(data, layout.m_blocking_depth, 4) != 0
        self.detached = vole_number(data, layout.m_attention, 4) & layout.m_detached != 0
        self.locked_g = vole_number(data, layout.m_locked_g)
        self.next = vole_number(data, layout.m_all)
        self.id = vole_number(data, layout.m_id, 4)
        self.ended = vole_number(data, layout.m_depth) == 0
        self.frozen = vole_number(data, layout.m_frozen_context) != 0
        self.thread = threads.get(vole_number(data, layout.m_tid, 4))

    def title(self):
        if self.thread is None:
            return "no thread that gdb sees"
        return f"thread {self.thread.num} (LWP {self.thread.ptid[1]})"


class VoleFrame(collections.namedtuple("VoleFrame", "pc name where signal")):
    """`name` is None where gdb knows none."""

    # What is of little interest to who wants to know where a goroutine is.
    INSIDE = re.compile(r"([\w ]+ )?vole::v0::|vole_|__morestack|__wrap_")

    @staticmethod
    def of(frame):
        sal = frame.find_sal()
        pc = frame.pc()
        if sal.symtab is not None:
            where = f" at {sal.symtab.filename}:{sal.line}"
        else:
            library = gdb.solib_name(pc)
            where = f" from {library}" if library else ""
        return VoleFrame(pc, frame.name(), where, frame.type() == gdb.SIGTRAMP_FRAME)

    def inside(self):
        return self.name is not None and self.INSIDE.match(self.name) is not None

    def line(self, level):
        if self.signal:
            return f"#{level:<3}<signal handler called>"
        return f"#{level:<3}0x{self.pc:016x} in {self.name or '??'}{self.where}"


class VoleUnwinder(gdb.unwinder.Unwinder):
    """Makes a saved context the caller of the selected thread's innermost frame."""

    class Id:
        def __init__(self, sp, pc):
            self.sp, self.pc = gdb.Value(sp), gdb.Value(pc)

    def __init__(self):
        super().__init__("vole goroutine")
        self.enabled = False

    def learn(self, layout):
        """What a context consists of."""
        self.first = None  # the number of the goroutine's first frame, once it is known
        self.sp_name = vole_text(layout.stack_pointer)
        self.frame_bytes = layout.frame_bytes
        self.offsets = {}
        table = vole_read(layout.saved_registers, layout.registers * layout.register_bytes)
        for at in range(0, len(table), layout.register_bytes):
            name = table[at : at + 8].split(b"\0")[0].decode()
            self.offsets[name] = vole_number(table, at + layout.register_offset, 4)

    def aim(self, thread_sp, sp):
        """At the context at `sp`. Gives what the stack pointer will be when that goes on."""
        frame = vole_read(sp, self.frame_bytes)
        self.thread_sp, self.sp = thread_sp, sp
        self.registers = {name: vole_number(frame, at) for name, at in self.offsets.items()}
        self.registers[self.sp_name] = sp + self.frame_bytes
        return sp + self.frame_bytes

    def __call__(self, pending):
        if self.first is not None and pending.level() >= self.first:
            return None
        # Of the frames before the goroutine's first, those that others are inlined into are not asked for,
        # and the last has the thread's stack pointer.
        if int(pending.read_register(self.sp_name)) != self.thread_sp:
            return None
        # Below all of the goroutine's frames, as gdb wants it of a callee.
        info = pending.create_unwind_info(self.Id(self.sp, 0))
        for name, value in self.registers.items():
            info.add_saved_register(name, gdb.Value(value))
        return info


class VoleView:
    """A scope in which gdb shows goroutines; what was selected is selected again at its end."""

    unwinder = VoleUnwinder()

    def __init__(self, layout):
        self.layout = layout
        self.first = 0  # gdb's number of the goroutine's innermost frame

    def __enter__(self):
        self.thread = gdb.selected_thread()
        self.level = gdb.selected_frame().level()
        # gdb does not look for main's caller, which main's thread now seems to have.
        self.past_main = gdb.parameter("backtrace past-main")
        gdb.execute("set backtrace past-main on")
        self.unwinder.learn(self.layout)
        return self

    def __exit__(self, *_):
        self.end()
        gdb.execute("set backtrace past-main " + ("on" if self.past_main else "off"))
        if not self.thread.is_valid():
            return
        self.thread.switch()
        frame = gdb.newest_frame()
        while frame.level() < self.level and frame.older() is not None:
            frame = frame.older()
        frame.select()

    @classmethod
    def end(cls, *_):
        if cls.unwinder.enabled:
            cls.unwinder.enabled = False
            gdb.invalidate_cached_frames()

    def show_thread(self, thread):
        """The innermost frame of a thread. Selects none, as show_context."""
        self.end()
        self.first = 0
        thread.switch()
        return gdb.newest_frame()

    def show_context(self, sp):
        """The innermost frame of the context saved at sp."""
        if not self.unwinder.enabled:
            self.thread_sp = int(self.show_thread(self.thread).read_register("sp"))
        goes_on = self.unwinder.aim(self.thread_sp, sp)
        self.unwinder.enabled = True
        gdb.invalidate_cached_frames()
        frame = gdb.newest_frame()
        if self.unwinder.first is None:
            while frame is not None and int(frame.read_register("sp")) != goes_on:
                frame = frame.older()
            if frame is None:
                raise gdb.GdbError("gdb cannot find the goroutine's frames.")
            self.unwinder.first = frame.level()
        else:
            while frame.level() != self.unwinder.first:
                frame = frame.older()
        self.first = self.unwinder.first
        return frame


class VoleProgram:
    """The program as it stands now."""

    MOST_FRAMES = 100

    def __init__(self):
        self.layout = at = VoleLayout()
        self.status_texts = self.texts(at.status_texts)
        self.reason_texts = self.texts(at.reason_texts)
        threads = {thread.ptid[1]: thread for thread in gdb.selected_inferior().threads()}
        self.known_frames = {}
        self.ms = {}
        address = self.number(at.all_ms, 8)
        while address:
            self.ms[address] = m = VoleThread(at, vole_read(address, at.m_bytes), threads)
            address = m.next
        selected = gdb.selected_thread()
        self.current = next((m.curg for m in self.ms.values()
                             if m.thread is not None and m.thread.num == selected.num), 0)

    def number(self, address, size=4):
        return vole_number(vole_read(address, size), 0, size)

    def texts(self, table):
        pointers = [self.number(table + 8 * i, 8) for i in range(self.layout.texts)]
        return [vole_text(pointer) if pointer else "?" for pointer in pointers]

    def goroutines(self):
        """All that live, by id."""
        at = self.layout
        found = []
        slab = self.number(at.g_slabs, 8)
        while slab:
            data = vole_read(slab, at.slab_gs + at.slab_count * at.g_bytes)
            for i in range(at.slab_count):
                start = at.slab_gs + i * at.g_bytes
                if data[start + at.g_status] not in (at.status_idle, at.status_dead):
                    found.append(VoleGoroutine(at, slab + start, data[start : start + at.g_bytes]))
            slab = vole_number(data, at.slab_next)
        return sorted(found, key=lambda g: g.id)

    def goroutine(self, number):
        for g in self.goroutines():
            if g.id == number:
                return g
        raise gdb.GdbError(f"There is no goroutine {number}.")

    def is_frozen(self, g):
        m = self.ms.get(g.m)
        return (g.status == self.layout.status_runnable and m is not None and m.frozen
                and m.curg == g.address)

    def state(self, g):
        waiting = g.status == self.layout.status_waiting
        text = self.reason_texts[g.reason & 0x7f] if waiting else self.status_texts[g.status]
        if waiting and g.bubble and g.reason & 0x80:
            text += " (durable)"
        if self.is_frozen(g):
            text += ", preempted"
        if g.locked:
            text += ", locked to thread"
        return text + (f", synctest bubble {g.bubble}" if g.bubble else "")

    def waits_on(self, g):
        """Addresses of the channels, or of what else it waits on."""
        at = self.layout
        if g.status != at.status_waiting or not g.parked:
            return []
        try:
            kind = self.number(g.parked + at.parked_kind, 8)
            objects = self.number(g.parked + self.number(kind + at.kind_object), 8)
            count, stride = self.number(kind + at.kind_count), self.number(kind + at.kind_stride)
            if count == 0:
                return [objects]
            found = [self.number(objects + i * stride, 8)
                     for i in range(min(self.number(g.parked + count), 1000))]
        except gdb.MemoryError:
            return []
        return list(dict.fromkeys(address for address in found if address))

    def stack(self, g):
        """(begin, end) of its segments, the newest first."""
        at, segment = self.layout, g.stack
        while segment:
            low = self.number(segment + at.segment_lo, 8)
            yield low, low + self.number(segment + at.segment_bytes)
            segment = self.number(segment + at.segment_prev, 8)

    def show(self, view, g):
        """The innermost frame of g; None and a reason if it has none to show."""
        at, m = self.layout, self.ms.get(g.m)
        runs = g.status in (at.status_running, at.status_syscall) or self.is_frozen(g)
        if m is not None and (m.curg == g.address or m.leaving == g.address):
            if m.thread is None:
                return None, "its thread is not among gdb's"
            frame = view.show_thread(m.thread)
            # On its way to another goroutine: already there?
            if runs or any(low <= int(frame.read_register("sp")) < high
                           for low, high in self.stack(g)):
                return frame, ""
        if runs:
            return None, "it is being resumed"
        if not g.sp:
            entry = self.number(g.closure + self.layout.closure_invoke, 8)
            return None, f"it has not begun; it will call {vole_symbol(entry)}"
        return view.show_context(g.sp), ""

    def frames(self, view, g, enough=lambda frame: False):
        """VoleFrames from the innermost on, until one is enough; and what there is to say."""
        found = []
        at_pc = None  # and how many frames are there, inlined into each other
        try:
            frame, remark = self.show(view, g)
            while frame is not None:
                if len(found) == self.MOST_FRAMES:
                    return found, "more frames, not shown"
                pc = frame.pc()
                at_pc = (pc, at_pc[1] + 1) if at_pc is not None and at_pc[0] == pc else (pc, 0)
                # What is said of a frame takes gdb longer than to find it.
                key = (*at_pc, frame.level() == 0)
                if key not in self.known_frames:
                    self.known_frames[key] = VoleFrame.of(frame)
                found.append(self.known_frames[key])
                if enough(found[-1]):
                    break
                frame = frame.older()
        except gdb.error as error:
            remark = str(error)
        return found, remark


def vole_symbol(address):
    """The symbol at an address, or the address."""
    told = gdb.execute(f"info symbol {address:#x}", to_string=True)
    name, found, _ = told.partition(" in section ")
    return name if found else f"{address:#x}"


def vole_object(address):
    told = vole_symbol(address)
    return told if told.startswith("0x") else f"{address:#x} <{told}>"


class VoleCommand(gdb.Command):
    def invoke(self, argument, from_tty):
        try:
            self.run(argument.strip())
        except gdb.error as error:  # of the user, or of what there is to see: not of this script
            raise gdb.GdbError(str(error)) from None


class VoleInfoGoroutines(VoleCommand):
    """Goroutines, one a line: id, name and labels, state, what it waits on or which thread runs it, and the
innermost function that is not Vole's own. A star marks the one of the selected thread."""

    def __init__(self):
        super().__init__("info goroutines", gdb.COMMAND_STATUS)

    def run(self, _argument):
        program = VoleProgram()
        goroutines = program.goroutines()
        if not goroutines:
            print("There are no goroutines.")
        with VoleView(program.layout) as view:
            for g in goroutines:
                print(self.line(program, view, g))

    @staticmethod
    def line(program, view, g):
        frozen = program.is_frozen(g)
        # Where it was when a signal stopped it lies behind the handler's frames.
        seen_signal = [not frozen]

        def enough(frame):
            seen_signal[0] |= frame.signal
            return seen_signal[0] and not frame.signal and not frame.inside()

        frames, remark = program.frames(view, g, enough)
        star = "*" if g.address == program.current else " "
        text = f"{star} {g.title(6)} [{program.state(g)}]"
        if g.status != program.layout.status_waiting and frames and view.first == 0:
            text += "  " + program.ms[g.m].title()
        if waits := program.waits_on(g):
            text += "  on " + ", ".join(map(vole_object, waits))
        return text + "  " + (frames[-1].name or f"{frames[-1].pc:#x}" if frames else remark)


class VoleGoroutineCommand(VoleCommand):
    """Looks at goroutines.

goroutine N bt [ARGUMENTS]   its backtrace
goroutine N frame K          one of the frames that bt shows
goroutine N frame apply level K CMD     CMD in it: info locals, print X, ...
goroutine N CMD              CMD in its innermost frame: info registers, ...
goroutine all bt             backtraces of all; equal ones, labels too, together, the most first
goroutine all CMD            CMD for each

Frames are numbered from the goroutine's own innermost. Registers that its saved context does not hold
are <not saved>. CMD must not run the program."""

    # Commands that run the program, or whose business is what is selected afterwards.
    OTHER = re.compile(r"(s|si|step\w*|n|ni|next\w*|fin\w*|u|until|adv\w*|c|fg|cont\w*|j\w*|run|r|"
                       r"start\w*|sig\w*|call|ret\w*|kill|detach|thread|t|inferior|up|down|"
                       r"(f|frame) (function|address|view))\b")
    # Commands that print numbers of frames; where they are given such, or how many from the innermost.
    NUMBERED = re.compile(r"(bt|backtrace|where|f|frame|info frame)\b")
    GIVEN = re.compile(r"((?:bt|backtrace|where|f|frame)(?: level| apply| full| -[a-z]\S*)*) "
                       r"(\d+)(?:-(\d+))?\b")
    FRAME = re.compile(r"(f|frame)( level)? (\d+)$")
    PRINTED = re.compile(r"^(#|Stack level | inlined into frame )(\d+)( *)", re.MULTILINE)

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK)

    def run(self, argument):
        who, _, command = argument.partition(" ")
        command = command.strip() or "bt"
        if who != "all" and not who.isdecimal():
            raise gdb.GdbError('Usage: goroutine N CMD, or goroutine all CMD. "info goroutines" lists them.')
        if self.OTHER.match(command):
            raise gdb.GdbError(f'Not with a goroutine: "{command}". It can be looked at only.')
        program = VoleProgram()
        goroutines = program.goroutines() if who == "all" else [program.goroutine(int(who))]
        with VoleView(program.layout) as view:
            if who == "all" and command in ("bt", "backtrace", "where"):
                self.show_groups(program, view, goroutines)
                return
            for g in goroutines:
                if who == "all" or self.NUMBERED.match(command):
                    self.print_header(program, g)
                try:
                    self.execute(program, view, g, command)
                except gdb.error as error:
                    if who != "all":
                        raise
                    print(error)

    @staticmethod
    def print_header(program, g):
        waits = ", ".join(map(vole_object, program.waits_on(g)))
        created = vole_symbol(g.created_at - 1).partition(" + ")[0]
        created = "" if "vole::v0::detail::" in created else f", created by {created}"
        created += f" in goroutine {g.parent}" if g.parent else ""
        print(f"goroutine {g.title()} [{program.state(g)}]{waits and ' on ' + waits}{created}:")

    def execute(self, program, view, g, command):
        frame, remark = program.show(view, g)
        if frame is None:
            raise gdb.GdbError(f"Goroutine {g.id} has no frames to show: {remark}.")
        frame.select()
        first = view.first
        numbered = self.NUMBERED.match(command)
        if chosen := self.FRAME.match(command):
            # gdb would print it at once, with its own number.
            while frame is not None and frame.level() < first + int(chosen[3]):
                frame = frame.older()
            if frame is None:
                raise gdb.GdbError(f"Goroutine {g.id} has no frame {chosen[3]}.")
            frame.select()
            command = "frame"
        if given := self.GIVEN.match(command):
            last = f"-{int(given[3]) + first}" if given[3] else ""
            command = f"{given[1]} {int(given[2]) + first}{last}{command[given.end():]}"
        told = gdb.execute(command, to_string=True)
        print(self.renumbered(told, first) if numbered else told, end="")

    def renumbered(self, told, first):
        """The text of a command that prints frames, without the thread's own."""
        kept = []
        for part in re.split(r"^(?=#\d+ )", told, flags=re.MULTILINE):
            level = re.match(r"#(\d+) ", part)
            if level is None or int(level[1]) >= first:
                kept.append(part)
        return self.PRINTED.sub(
            lambda at: f"{at[1]}{int(at[2]) - first}".ljust(len(at[0])), "".join(kept))

    @classmethod
    def show_groups(cls, program, view, goroutines):
        groups = collections.defaultdict(list)
        first = {}
        for g in goroutines:
            frames, remark = program.frames(view, g)
            # How Vole gives way to another goroutine has several ways, of no interest here.
            inner = cls.inner(frames) if view.first > 0 else 0
            key = program.state(g), g.labels, tuple(frames[inner:]), remark
            groups[key].append(g)
            first.setdefault(key, inner)
        for key, members in sorted(groups.items(), key=lambda group: -len(group[1])):
            state, labels, frames, remark = key
            few = ", ".join(g.name_text() for g in members[:5]) + (", ..." if len(members) > 5 else "")
            what = "goroutine" if len(members) == 1 else f"{len(members)} goroutines:"
            print(f"{what} {few}{labels} [{state}]")
            counts = collections.Counter(o for g in members for o in program.waits_on(g))
            for address, count in counts.most_common(4):
                print(f"    {count} on {vole_object(address)}")
            if len(counts) > 4:
                print(f"    and others, on {len(counts) - 4} more")
            for level, frame in enumerate(frames, first[key]):
                print(frame.line(level))
            if remark:
                print(f"    ({remark})")
            print()

    @staticmethod
    def inner(frames):
        """How many of Vole's own frames come before the one that the program has called."""
        for level, frame in enumerate(frames):
            if not frame.inside():
                return max(level - 1, 0)
        return 0


class VoleInfo(VoleCommand):
    """The scheduler's state: Ps and their queues, Ms (threads) and what they do, goroutines by state."""

    def __init__(self):
        super().__init__("info vole", gdb.COMMAND_STATUS)

    def run(self, _argument):
        program = VoleProgram()
        at = program.layout
        stopping, left = program.number(at.stopping, 1), program.number(at.stop_wait)
        world = "running" if not stopping else f"being stopped, {left} Ps left" if left else "stopped"
        print(f"The world is {world}.")
        self.print_ps(program)
        alive = [m for m in program.ms.values() if not m.ended]
        print(f"{len(alive)} Ms:")
        goroutines = program.goroutines()
        ids = {g.address: g.id for g in goroutines}
        for m in sorted(alive, key=lambda m: m.id):
            print(f"  M{m.id:<4} {m.title()}: {self.doing(m, ids)}")
        counts = collections.Counter(program.state(g) for g in goroutines)
        states = ", ".join(f"{count} {state}" for state, count in counts.most_common())
        print(f"{len(goroutines)} goroutines{states and ': ' + states}")

    @staticmethod
    def print_ps(program):
        at = program.layout
        count = program.number(at.procs)
        texts = program.texts(at.p_texts)
        print(f"{count} Ps:")
        for i in range(count):
            data = vole_read(program.number(at.all_ps + 8 * i, 8), at.p_bytes)
            queued = (vole_number(data, at.p_tail, 4) - vole_number(data, at.p_head, 4)) % 2**32
            queued += vole_number(data, at.p_next) != 0
            m = program.ms.get(vole_number(data, at.p_m))
            print(f"  P{vole_number(data, at.p_id, 4):<4} {texts[vole_number(data, at.p_status, 4)]}"
                  f"{f', M{m.id}' if m else ''}, {queued} queued")
        print(f"  any P  {program.number(at.global_size)} queued, "
              f"{program.number(at.frozen_size)} preempted on their threads")

    @staticmethod
    def doing(m, ids):
        if not m.curg:
            if m.p:
                return "looks for work" if m.spinning else "in the scheduler"
            return f"waits for its goroutine {ids.get(m.locked_g)}" if m.locked_g else "asleep"
        name = f"goroutine {ids.get(m.curg, '?')}"
        if m.frozen:
            return f"holds {name}, preempted"
        if m.blocking:
            return f"{name}, in blocking()"
        return f"{name}, its P was taken" if m.detached else f"runs {name}"


class VoleCore(VoleCommand):
    """vole-gcore FILE: like gcore, with the stacks of goroutines.

gdb cannot read guard pages as Linux 6.13 and later have them, and leaves out what is mapped beside."""

    def __init__(self):
        super().__init__("vole-gcore", gdb.COMMAND_FILES, gdb.COMPLETE_FILENAME)

    def run(self, argument):
        if not argument:
            raise gdb.GdbError("Usage: vole-gcore FILE")
        program = VoleProgram()
        gdb.execute(f"generate-core-file {argument}")
        with open(os.path.expanduser(argument), "r+b") as core:
            places = list(self.places(core))
            for g in program.goroutines():
                m = program.ms.get(g.m)
                runs = m is not None and m.curg == g.address
                for low, high in program.stack(g):
                    # Of one that does not run nothing below the saved context matters.
                    self.copy(core, places, g.sp if not runs and low < g.sp < high else low, high)
        print("The stacks of goroutines have been added to it.")

    @staticmethod
    def places(core):
        """(begin, end, position in the file) of what the file has of memory."""
        header = core.read(64)
        start, size, count = (vole_number(header, at, n) for at, n in ((32, 8), (54, 2), (56, 2)))
        core.seek(start)
        table = core.read(size * count)
        for at in range(0, len(table), size):
            kind, _, position, begin, _, length = struct.unpack_from("<IIQQQQ", table, at)
            if kind == 1:  # PT_LOAD
                yield begin, begin + length, position

    @classmethod
    def copy(cls, core, places, low, high):
        for begin, end, position in places:
            if not (begin <= low and high <= end):
                continue
            try:
                data = vole_read(low, high - low)
            except gdb.MemoryError:  # page by page
                middle = (low + high) // 2 // 4096 * 4096
                if low < middle:
                    cls.copy(core, places, low, middle)
                    cls.copy(core, places, middle, high)
                return
            core.seek(position + low - begin)
            core.write(data)
            return


gdb.unwinder.register_unwinder(None, VoleView.unwinder, replace=True)
gdb.events.cont.connect(VoleView.end)  # a command that ran the program after all
VoleInfoGoroutines()
VoleGoroutineCommand()
VoleInfo()
VoleCore()
