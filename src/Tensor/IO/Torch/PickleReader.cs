using System.Buffers.Binary;
using System.Text;

namespace RefConv.IO;

/// <summary>
/// Reads the pickles that torch.save writes (protocols 0 to 5): the stack machine of Python's pickle with nothing behind it that could run. Names come from
/// <see cref="PickleGlobals"/> only; calls go to <see cref="TorchRebuild"/> only. Every length is checked against the bytes that are there before anything is
/// allocated for it, the stack has a limit, what values take is counted, and nothing here calls itself, so a pickle can neither hang nor exhaust the machine.
/// </summary>
internal sealed unsafe partial class PickleReader
{
    /// <summary>
    /// What keeping a value costs of the budget. To keep one takes a byte, to make it another, so a pickle that keeps every value once can pay for all of them.
    /// </summary>
    private const int KeepCost = 2;

    /// <summary>Bytes of memory that values take: see <see cref="TorchRebuild.Charge"/>.</summary>
    internal const int DictionaryCost = 40, PairCost = 32, ListCost = 32, ItemCost = 16, NumberCost = 24, TextCost = 32, MemoCost = 64;

    /// <summary>torch.save puts at most a thousand pairs on the stack at a time.</summary>
    private const int MostStack = 1 << 16;

    private static readonly PickleOpaque s_set = new("a set"), s_bytes = new("bytes"), s_extension = new("a registered extension");
    private static readonly PickleTuple s_noItems = new([]);
    private static readonly object s_true = true, s_false = false;
    private static readonly object[] s_small = [.. Enumerable.Range(0, 256).Select(i => (object)(long)i)];

    private readonly string _path;
    private readonly byte* _data;
    private readonly long _length;
    private readonly TorchRebuild _rebuild;
    private readonly List<object?> _stack = [];
    private readonly List<int> _marks = [];
    private readonly Dictionary<long, object?> _memo = [];

    /// <summary>Prepares to read a pickle.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="data">The pickle's first byte.</param>
    /// <param name="length">Bytes that may belong to it.</param>
    /// <param name="rebuild">Makes storages and tensors.</param>
    public PickleReader(string path, byte* data, long length, TorchRebuild rebuild)
    {
        _path = path;
        _data = data;
        _length = length;
        _rebuild = rebuild;
        rebuild.Budget += length;
    }

    /// <summary>Bytes read so far; after <see cref="Read"/> the length of the pickle.</summary>
    public long Position { get; private set; }

    /// <summary>The value of the whole pickle.</summary>
    /// <exception cref="FileFormatException">It is damaged, or asks for what weights do not need.</exception>
    public object? Read()
    {
        while (true)
        {
            byte opcode = Take(1)[0];
            if (opcode == (byte)'.') return Pop();
            if (!Constant(opcode) && !TextConstant(opcode) && !Structure(opcode) && !Memory(opcode) && !Call(opcode))
                throw Damaged($"it has an instruction 0x{opcode:X2} at byte {Position - 1}, which torch.save does not write");
            if (_stack.Count > MostStack) throw Damaged($"it stacks more than {MostStack} values");
        }
    }

    private bool Constant(byte opcode)
    {
        switch (opcode)
        {
            case (byte)'N': Push(null); return true;
            case 0x88: Push(s_true); return true;
            case 0x89: Push(s_false); return true;
            case (byte)'K': Push(s_small[Take(1)[0]]); return true;
            case (byte)'M': PushNumber(BinaryPrimitives.ReadUInt16LittleEndian(Take(2))); return true;
            case (byte)'J': PushNumber(BinaryPrimitives.ReadInt32LittleEndian(Take(4))); return true;
            case 0x8A: PushLong(Take(1)[0]); return true;
            case 0x8B: PushLong(BinaryPrimitives.ReadInt32LittleEndian(Take(4))); return true;
            case (byte)'G': PushNumber(BinaryPrimitives.ReadDoubleBigEndian(Take(8))); return true;
            case 0x8C: Push(Text(Take(1)[0], Encoding.UTF8)); return true;
            case (byte)'X': Push(Text(BinaryPrimitives.ReadUInt32LittleEndian(Take(4)), Encoding.UTF8)); return true;
            case 0x8D: Push(Text(BinaryPrimitives.ReadInt64LittleEndian(Take(8)), Encoding.UTF8)); return true;
            case (byte)'U': Push(Text(Take(1)[0], Encoding.Latin1)); return true; // text of Python 2
            case (byte)'T': Push(Text(BinaryPrimitives.ReadUInt32LittleEndian(Take(4)), Encoding.Latin1)); return true;
            case (byte)'C': SkipBytes(Take(1)[0]); return true;
            case (byte)'B': SkipBytes(BinaryPrimitives.ReadUInt32LittleEndian(Take(4))); return true;
            case 0x8E or 0x96: SkipBytes(BinaryPrimitives.ReadInt64LittleEndian(Take(8))); return true;
            default: return false;
        }
    }

    private bool Structure(byte opcode)
    {
        switch (opcode)
        {
            case 0x80: Protocol(Take(1)[0]); return true;
            case 0x95: Take(8); return true; // a frame: only a hint for reading ahead
            case (byte)'(': _marks.Add(_stack.Count); return true;
            case (byte)')': Push(s_noItems); return true;
            case 0x85: Tuple(1); return true;
            case 0x86: Tuple(2); return true;
            case 0x87: Tuple(3); return true;
            case (byte)'t': Tuple(_stack.Count - Mark()); return true;
            case (byte)']': Charge(ListCost); Push(new PickleList()); return true;
            case (byte)'}': Charge(DictionaryCost); Push(new PickleDictionary()); return true;
            case (byte)'a': Append(_stack.Count - 1); return true;
            case (byte)'e': Append(Mark()); return true;
            case (byte)'s': SetItems(_stack.Count - 2); return true;
            case (byte)'u': SetItems(Mark()); return true;
            case (byte)'l': List(); return true;
            case (byte)'d': Dictionary(); return true;
            case 0x8F: Push(s_set); return true;
            case 0x90: DropTo(Mark()); return true; // items of a set, which is of no use
            case 0x91: DropTo(Mark()); Push(s_set); return true;
            case (byte)'0': Pop(); return true;
            case (byte)'1': DropTo(Mark()); return true;
            case (byte)'2': Push(Peek()); return true;
            default: return false;
        }
    }

    private bool Memory(byte opcode)
    {
        switch (opcode)
        {
            case (byte)'q': Keep(Take(1)[0]); return true;
            case (byte)'r': Keep(BinaryPrimitives.ReadUInt32LittleEndian(Take(4))); return true;
            case 0x94: Keep(_memo.Count); return true;
            case (byte)'h': Recall(Take(1)[0]); return true;
            case (byte)'j': Recall(BinaryPrimitives.ReadUInt32LittleEndian(Take(4))); return true;
            default: return false;
        }
    }

    private bool Call(byte opcode)
    {
        switch (opcode)
        {
            case (byte)'c':
                string module = Line();
                Push(_rebuild.Global(module, Line()));
                return true;
            case 0x93:
                if (Pop() is not string name || Pop() is not string where) throw Damaged("it names something with what is not text");
                Push(_rebuild.Global(where, name));
                return true;
            case 0x82 or 0x83 or 0x84: // a name by its number in a registry that only its program has
                Take(opcode == 0x82 ? 1 : opcode == 0x83 ? 2 : 4);
                Push(s_extension);
                return true;
            case (byte)'i': // an object: the class on two lines, its arguments from the mark
                string from = Line();
                var made = _rebuild.Global(from, Line());
                Push(_rebuild.Call(made, FromMark()));
                return true;
            case (byte)'o': // the same, the class first behind the mark
                var parts = FromMark();
                if (parts.Items.Length == 0) throw Short();
                Push(_rebuild.Call(parts.Items[0], new PickleTuple(parts.Items[1..])));
                return true;
            case (byte)'P':
                Line();
                Push(s_extension);
                return true;
            case (byte)'Q':
                Push(_rebuild.Storage(Pop()));
                return true;
            case (byte)'R' or 0x81: // a call, or a new object of a class
                object? arguments = Pop();
                Push(_rebuild.Call(Pop(), arguments));
                return true;
            case 0x92: // a new object, with named arguments
                Pop();
                object? positional = Pop();
                Push(_rebuild.Call(Pop(), positional));
                return true;
            case (byte)'b': // attributes of an object: the metadata of a state dict, fields of what is of no use
                Pop();
                if (Peek() is not (PickleDictionary or PickleOpaque or TorchTensor or PickleGlobal)) throw Damaged("it gives attributes to something that can have none");
                return true;
            default:
                return false;
        }
    }

    private void Protocol(byte version)
    {
        if (version > 5) throw Damaged($"it is written in version {version} of the pickle format (0 to 5 are read)");
    }

    private void PushLong(int bytes)
    {
        if (bytes < 0) throw Damaged("a number has a negative length");
        var digits = Take(bytes);
        if (bytes > 8)
        {
            // torch.save's own mark is the one that counts; no size or offset is that large.
            Charge(NumberCost + (4 * TextCost));
            Push(new PickleOpaque("number " + Convert.ToHexString(digits[..Math.Min(bytes, 32)])));
            return;
        }
        long value = bytes > 0 && (digits[^1] & 0x80) != 0 ? -1 : 0;
        for (int i = bytes - 1; i >= 0; i--) value = (value << 8) | digits[i];
        PushNumber(value);
    }

    private string Text(long bytes, Encoding encoding)
    {
        var text = Take(bytes);
        Charge(TextCost + (2L * text.Length));
        return encoding.GetString(text);
    }

    private void SkipBytes(long count)
    {
        Take(count);
        Push(s_bytes);
    }

    /// <summary>Text up to the end of a line: the name of a module or class.</summary>
    private string Line(int most = 1 << 12)
    {
        var rest = new ReadOnlySpan<byte>(_data + Position, (int)Math.Min(_length - Position, most));
        int end = rest.IndexOf((byte)'\n');
        if (end < 0) throw Damaged("a name in it has no end");
        Position += end + 1;
        Charge(TextCost + (2L * end));
        return Encoding.UTF8.GetString(rest[..end]);
    }

    private void Keep(long key)
    {
        _rebuild.Spend(KeepCost);
        Charge(MemoCost);
        _memo[key] = Peek();
    }

    private void Recall(long key)
    {
        if (!_memo.TryGetValue(key, out object? value)) throw Damaged($"it refers to value {key}, which was not kept");
        Push(value);
    }

    private int Mark()
    {
        if (_marks.Count == 0) throw Short();
        int mark = _marks[^1];
        _marks.RemoveAt(_marks.Count - 1);
        return mark <= _stack.Count ? mark : throw Short();
    }

    private void Push(object? value) => _stack.Add(value);

    private void PushNumber(long value)
    {
        if (value is >= 0 and < 256)
        {
            Push(s_small[value]);
            return;
        }
        Charge(NumberCost);
        Push(value);
    }

    private void PushNumber(double value)
    {
        Charge(NumberCost);
        Push(value);
    }

    private void Charge(long bytes) => _rebuild.Charge(bytes);

    private object? Peek() => _stack.Count > 0 ? _stack[^1] : throw Short();

    private object? Pop()
    {
        object? value = Peek();
        _stack.RemoveAt(_stack.Count - 1);
        return value;
    }

    private int First(int count) => count <= _stack.Count ? _stack.Count - count : throw Short();

    private void DropTo(int count) => _stack.RemoveRange(count, _stack.Count - count);

    private ReadOnlySpan<byte> Take(long count)
    {
        if (count < 0 || count > _length - Position || count > int.MaxValue) throw Damaged("it ends too early");
        var bytes = new ReadOnlySpan<byte>(_data + Position, (int)count);
        Position += count;
        return bytes;
    }

    private FileFormatException Short() => Damaged("it takes more values from its stack than it put there");

    private FileFormatException Damaged(string problem) => new(_path, $"its pickle is damaged: {problem}. Copy or download it again.");
}
