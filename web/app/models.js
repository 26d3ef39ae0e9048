// Models to choose from: what comes with the page, and a few of Hugging Face's. bytes: of the weights.

export const models = [
    { name: null, bytes: 1.4e6, licence: 'MIT', source: null }, // the engine's own
    { name: 'ViT-Ti/16, ImageNet', bytes: 22.9e6, licence: 'Apache-2.0', source: 'timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k' },
    { name: 'DeiT-S/16, ImageNet', bytes: 88.2e6, licence: 'Apache-2.0', source: 'timm/deit_small_patch16_224.fb_in1k' },
    { name: 'ViT-B/16, ImageNet', bytes: 346.3e6, licence: 'Apache-2.0', source: 'google/vit-base-patch16-224' },
];
