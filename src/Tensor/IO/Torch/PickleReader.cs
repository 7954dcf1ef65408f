using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace RefConv.IO;

/// <summary>
/// Reads the pickles that torch.save writes (protocols 2 to 5): the stack machine of Python's pickle with nothing behind it that could run. Names come from
/// <see cref="PickleGlobals"/> only; calls go to <see cref="TorchRebuild"/> only. Every length is checked against the bytes that are there before anything is
/// allocated for it, the stack has a limit, and nothing here calls itself, so a pickle can neither hang nor exhaust the machine.
/// </summary>
internal sealed unsafe class PickleReader
{
    /// <summary>
    /// What keeping a value costs of the budget. To keep one takes a byte, to make it another, so a pickle that keeps every value once can pay for all of them.
    /// </summary>
    private const int KeepCost = 2;

    /// <summary>torch.save puts at most a thousand pairs on the stack at a time.</summary>
    private const int MostStack = 1 << 16;

    private static readonly PickleOpaque s_set = new("a set"), s_bytes = new("bytes");

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
            if (!Constant(opcode) && !Structure(opcode) && !Memory(opcode) && !Call(opcode))
                throw Damaged($"it has an instruction 0x{opcode:X2} at byte {Position - 1}, which torch.save does not write");
            if (_stack.Count > MostStack) throw Damaged($"it stacks more than {MostStack} values");
        }
    }

    private bool Constant(byte opcode)
    {
        switch (opcode)
        {
            case (byte)'N': Push(null); return true;
            case 0x88: Push(true); return true;
            case 0x89: Push(false); return true;
            case (byte)'K': Push((long)Take(1)[0]); return true;
            case (byte)'M': Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2))); return true;
            case (byte)'J': Push((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4))); return true;
            case 0x8A: PushLong(Take(1)[0]); return true;
            case 0x8B: PushLong(BinaryPrimitives.ReadInt32LittleEndian(Take(4))); return true;
            case (byte)'G': Push(BinaryPrimitives.ReadDoubleBigEndian(Take(8))); return true;
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
            case (byte)')': Push(new PickleTuple([])); return true;
            case 0x85: Tuple(1); return true;
            case 0x86: Tuple(2); return true;
            case 0x87: Tuple(3); return true;
            case (byte)'t': Tuple(_stack.Count - Mark()); return true;
            case (byte)']': Push(new PickleList()); return true;
            case (byte)'}': Push(new PickleDictionary()); return true;
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
                Push(PickleGlobals.Find(_path, module, Line()));
                return true;
            case 0x93:
                if (Pop() is not string name || Pop() is not string where) throw Damaged("it names something with what is not text");
                Push(PickleGlobals.Find(_path, where, name));
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
                if (Peek() is not (PickleDictionary or PickleOpaque or TorchTensor)) throw Damaged("it gives attributes to something that can have none");
                return true;
            default:
                return false;
        }
    }

    private void Protocol(byte version)
    {
        if (version is < 2 or > 5) throw Damaged($"it is written in version {version} of the pickle format (2 to 5 are read)");
    }

    private void Tuple(int count)
    {
        int first = First(count);
        object?[] items = CollectionsMarshal.AsSpan(_stack)[first..].ToArray();
        DropTo(first);
        Push(new PickleTuple(items));
    }

    private void List()
    {
        int mark = Mark();
        var list = new PickleList();
        for (int i = mark; i < _stack.Count; i++) list.Add(_stack[i]);
        DropTo(mark);
        Push(list);
    }

    private void Dictionary()
    {
        int mark = Mark();
        _stack.Insert(mark, new PickleDictionary());
        SetItems(mark + 1);
    }

    private void Append(int first)
    {
        if (first < 1) throw Short();
        if (_stack[first - 1] is PickleList list)
        {
            for (int i = first; i < _stack.Count; i++) list.Add(_stack[i]);
        }
        else if (_stack[first - 1] is not PickleOpaque)
        {
            throw Damaged("it appends to something that is no list");
        }
        DropTo(first);
    }

    private void SetItems(int first)
    {
        if (first < 1) throw Short();
        if ((_stack.Count - first) % 2 != 0) throw Damaged("a dictionary has a key without a value");
        if (_stack[first - 1] is PickleDictionary dictionary)
        {
            for (int i = first; i < _stack.Count; i += 2) dictionary.Add(_stack[i], _stack[i + 1]);
        }
        else if (_stack[first - 1] is not PickleOpaque)
        {
            throw Damaged("it sets items of something that is no dictionary");
        }
        DropTo(first);
    }

    private void PushLong(int bytes)
    {
        if (bytes < 0) throw Damaged("a number has a negative length");
        var digits = Take(bytes);
        if (bytes > 8)
        {
            // torch.save's own mark is the one that counts; no size or offset is that large.
            Push(new PickleOpaque("number " + Convert.ToHexString(digits[..Math.Min(bytes, 32)])));
            return;
        }
        long value = bytes > 0 && (digits[^1] & 0x80) != 0 ? -1 : 0;
        for (int i = bytes - 1; i >= 0; i--) value = (value << 8) | digits[i];
        Push(value);
    }

    private string Text(long bytes, Encoding encoding) => encoding.GetString(Take(bytes));

    private void SkipBytes(long count)
    {
        Take(count);
        Push(s_bytes);
    }

    /// <summary>Text up to the end of a line: the name of a module or class.</summary>
    private string Line()
    {
        var rest = new ReadOnlySpan<byte>(_data + Position, (int)Math.Min(_length - Position, 1 << 12));
        int end = rest.IndexOf((byte)'\n');
        if (end < 0) throw Damaged("a name in it has no end");
        Position += end + 1;
        return Encoding.UTF8.GetString(rest[..end]);
    }

    private void Keep(long key)
    {
        _rebuild.Spend(KeepCost);
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
