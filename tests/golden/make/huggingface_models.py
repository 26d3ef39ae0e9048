#!/usr/bin/env python3
"""Golden cases of transformers' models: DINO, ViT with a pooler, ViT-MSN, DeiT's encoder, CLIP and SigLIP image towers;
each with another preprocessor_config.json.

    pip install torch==2.15.0 torchvision==0.29.2 transformers==5.23.0 safetensors pillow numpy
    tests/golden/make/huggingface_models.py
"""
import json

import torch
import transformers as hf
from safetensors.torch import load_file, save_file

import common as c

E = c.ENCODER
VIT = dict(hidden_size=E['width'], num_hidden_layers=E['layers'], num_attention_heads=E['heads'],
           intermediate_size=E['hidden'], image_size=E['size'], patch_size=E['patch'])
TEXT = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=4,
            bos_token_id=1, eos_token_id=2, max_position_embeddings=4)
IMAGENET = dict(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
REFERENCE = c.version('transformers')


def make(family, case, model_class, config):
    for part in [config, getattr(config, 'vision_config', config)]:
        part._attn_implementation = 'eager'
    model = c.randomize(model_class(config), c.generator(family.name, case))
    model.save_pretrained(family.path(case))
    return model


def preprocessor(family, case, **rules):
    """Writes preprocessor_config.json; the class that transformers takes for it, on Pillow."""
    with open(family.path(case, 'preprocessor_config.json'), 'w') as file:
        json.dump(rules, file, indent=1)
        file.write('\n')
    name = rules.get('image_processor_type') or rules['feature_extractor_type']
    made = getattr(hf, name.replace('FeatureExtractor', 'ImageProcessor') + 'Pil').from_pretrained(family.path(case))
    return lambda image: made(image, return_tensors='pt')['pixel_values']


def traced(model, x):
    """(results by the names of `vit trace`, the model's own output)"""
    kept = {}
    embedding = next(m for m in model.modules() if isinstance(m, torch.nn.Conv2d))
    hook = embedding.register_forward_hook(lambda _m, _i, o: kept.update(patch_embed=o.flatten(2).transpose(1, 2)))
    out = model(pixel_values=x, output_hidden_states=True, output_attentions=True, interpolate_pos_encoding=True)
    hook.remove()
    names = ['embed'] + [f'block.{i}' for i in range(len(out.hidden_states) - 1)]
    kept.update(zip(names, out.hidden_states))
    kept.update({f'attn.{i}': a for i, a in enumerate(out.attentions)})
    return kept, out


def with_logits(model):
    def forward(x):
        kept, out = traced(model, x)
        return {**kept, 'logits': out.logits, 'probs': c.softmax(out.logits)}
    return forward


def with_features(model, pooler):
    def forward(x):
        kept, out = traced(model, x)
        features = out.pooler_output if pooler else out.last_hidden_state[:, 0]
        return {**kept, 'norm': out.last_hidden_state, 'features': features}
    return forward


def without_pooler(model_class):
    return lambda config: model_class(config, add_pooling_layer=False)


def encoders():
    dino, vit, msn, deit = (c.Family(name, REFERENCE) for name in ('dino', 'vit', 'msn', 'deit'))
    model = make(dino, 'hf_dino', without_pooler(hf.ViTModel), hf.ViTConfig(**VIT))
    dino.add('hf_dino', 'ViTModel without a pooler, as DINO is published: no prefix in names, eps 1e-12, no '
             'classifier; features are the normed class token. ViTFeatureExtractor: a number is both sides',
             with_features(model, False),
             preprocessor(dino, 'hf_dino', feature_extractor_type='ViTFeatureExtractor', do_resize=True, size=40,
                          do_normalize=True, resample=3, **IMAGENET))
    model = make(vit, 'hf_pooler', hf.ViTModel, hf.ViTConfig(**VIT))
    vit.add('hf_pooler', 'ViTModel with a pooler, as the ImageNet-21k ViT is published: features are tanh(dense(class '
            'token)). ViTImageProcessor: height and width, Lanczos', with_features(model, True),
            preprocessor(vit, 'hf_pooler', image_processor_type='ViTImageProcessor', size=dict(height=24, width=40),
                         resample=1, do_resize=True, do_rescale=True, rescale_factor=1 / 255, do_normalize=True,
                         image_mean=[0.4, 0.5, 0.6], image_std=[0.3, 0.2, 0.4]))
    model = make(msn, 'hf_msn', hf.ViTMSNForImageClassification, hf.ViTMSNConfig(**VIT, num_labels=c.CLASSES))
    msn.add('hf_msn', 'ViTMSNForImageClassification: the names of ViT, eps 1e-6. ViTImageProcessor: what the file '
            'leaves out is the class\'s (bilinear, 0.5)', with_logits(model),
            preprocessor(msn, 'hf_msn', image_processor_type='ViTImageProcessor', size=dict(height=32, width=32)))
    model = make(deit, 'hf_encoder', without_pooler(hf.DeiTModel), hf.DeiTConfig(**VIT))
    deit.add('hf_encoder', 'DeiTModel without a pooler: features are the normed class token, not its mean with the '
             'distillation token. DeiTFeatureExtractor: a number is both sides, then a crop whose odd rest is rounded '
             'down',
             with_features(model, False),
             preprocessor(deit, 'hf_encoder', feature_extractor_type='DeiTFeatureExtractor', do_resize=True, size=35,
                          do_center_crop=True, crop_size=32, do_normalize=True, resample=3, **IMAGENET))
    for family in (dino, vit, msn, deit):
        family.done()


def clip():
    family = c.Family('clip', REFERENCE)
    what = 'image tower: class token, no bias in the patch embedding, a norm before the blocks, '

    def tower(model):
        def forward(x):
            kept, out = traced(model, x)
            norm = next(m for n, m in model.named_modules() if n.endswith('post_layernorm'))
            features = out.image_embeds if hasattr(out, 'image_embeds') else out.pooler_output
            return {**kept, 'norm': norm(out.last_hidden_state), 'features': features}
        return forward

    model = make(family, 'hf_vision', hf.CLIPVisionModel, hf.CLIPVisionConfig(**VIT))
    family.add('hf_vision', f'CLIPVisionModel: {what}quick_gelu, eps 1e-5; features are the normed class token. '
               'CLIPFeatureExtractor: a number is the short side, then a crop whose odd rest is rounded down',
               tower(model),
               preprocessor(family, 'hf_vision', feature_extractor_type='CLIPFeatureExtractor', do_resize=True, size=35,
                            do_center_crop=True, crop_size=32, do_normalize=True, resample=3,
                            image_mean=[0.48145466, 0.4578275, 0.40821073],
                            image_std=[0.26862954, 0.26130258, 0.27577711]))
    config = hf.CLIPVisionConfig(**VIT, projection_dim=12, hidden_act='gelu')
    model = make(family, 'hf_projection', hf.CLIPVisionModelWithProjection, config)
    family.add('hf_projection', f'CLIPVisionModelWithProjection: {what}erf GELU; features are projected to 12 '
               'channels. CLIPImageProcessor: shortest_edge, class defaults', tower(model),
               preprocessor(family, 'hf_projection', image_processor_type='CLIPImageProcessor',
                            size=dict(shortest_edge=38), crop_size=dict(height=32, width=32)))
    config = hf.CLIPConfig(vision_config=VIT, text_config=TEXT, num_labels=c.CLASSES)
    model = make(family, 'hf_classify', hf.CLIPForImageClassification, config)
    family.add('hf_classify', f'CLIPForImageClassification: {what}logits of the mean of patches that are not normed',
               with_logits(model))
    config = hf.CLIPConfig(vision_config=VIT, text_config=TEXT, projection_dim=12)
    model = make(family, 'hf_both', hf.CLIPModel, config)
    weights = load_file(family.path('hf_both', 'model.safetensors'))  # buffers that older releases saved
    weights['vision_model.embeddings.position_ids'] = torch.arange(17)[None]
    weights['text_model.embeddings.position_ids'] = torch.arange(4)[None]
    save_file(weights, family.path('hf_both', 'model.safetensors'), {'format': 'pt'})

    def both(x):
        kept, out = traced(model.vision_model, x)
        norm = model.vision_model.post_layernorm(out.last_hidden_state)
        return {**kept, 'norm': norm, 'features': model.visual_projection(out.pooler_output)}
    family.add('hf_both', f'CLIPModel: {what}vision_config nested; a text tower and old buffers in the file are not '
               'used. CLIPImageProcessor: a crop that is not square', both,
               preprocessor(family, 'hf_both', image_processor_type='CLIPImageProcessor', size=dict(shortest_edge=33),
                            crop_size=dict(height=24, width=32), resample=2, **IMAGENET))
    family.done()


def siglip():
    family = c.Family('siglip', REFERENCE)
    what = 'no class token, tanh GELU, eps 1e-6; '
    model = make(family, 'hf_vision', hf.SiglipVisionModel, hf.SiglipVisionConfig(**VIT))
    family.add('hf_vision', f'SiglipVisionModel: {what}attention pooling: a probe asks all normed tokens. '
               'SiglipImageProcessor: another rescale_factor', with_features(model, True),
               preprocessor(family, 'hf_vision', image_processor_type='SiglipImageProcessor',
                            size=dict(height=32, width=32), resample=3, do_rescale=True, rescale_factor=1 / 127.5,
                            do_normalize=True, image_mean=[1, 1, 1], image_std=[1, 1, 1]))
    config = hf.SiglipConfig(vision_config=VIT, text_config=TEXT, num_labels=c.CLASSES)
    model = make(family, 'hf_classify', hf.SiglipForImageClassification, config)
    family.add('hf_classify', f'SiglipForImageClassification: {what}the mean of the normed tokens, not attention '
               'pooling. SiglipImageProcessor: nothing is normalised', with_logits(model),
               preprocessor(family, 'hf_classify', image_processor_type='SiglipImageProcessor',
                            size=dict(height=32, width=32), do_normalize=False))
    family.done()


if __name__ == '__main__':
    encoders()
    clip()
    siglip()
